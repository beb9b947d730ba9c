// Runs in a world of its own beside the page's scripts, which can neither see nor change it.
globalThis.arenad ??= {
  LOOK_MS: 100,

  usable(selector) {
    for (const element of document.querySelectorAll(selector)) {
      const visible = element.checkVisibility({ checkVisibilityCSS: true });
      if (visible && !element.matches(":disabled")) return element;
    }
    return null;
  },

  // Resolves with the element once it is there, visible and enabled; with null after `timeout_ms`.
  wait(selector, timeout_ms) {
    const found = this.usable(selector);
    if (found) return Promise.resolve(found);
    return new Promise((resolve) => {
      const look = () => {
        const element = this.usable(selector);
        if (element) finish(element);
      };
      const finish = (element) => {
        observer.disconnect();
        clearInterval(interval);
        clearTimeout(timer);
        resolve(element);
      };
      const observer = new MutationObserver(look);
      // A style sheet or a transition can show an element without any mutation.
      const interval = setInterval(look, this.LOOK_MS);
      const timer = setTimeout(() => finish(null), timeout_ms);
      observer.observe(document, { subtree: true, childList: true, attributes: true });
    });
  },

  async has(selector, timeout_ms) {
    return (await this.wait(selector, timeout_ms)) !== null;
  },

  // Where to press so that the element gets it: null when it is not there, a text when it stays covered.
  async point(selector, timeout_ms) {
    const end = performance.now() + timeout_ms;
    for (let covered = null; ; ) {
      const element = await this.wait(selector, Math.max(0, end - performance.now()));
      if (!element) return covered;
      element.scrollIntoView({ block: "nearest", inline: "nearest", behavior: "instant" });
      const box = element.getBoundingClientRect();
      const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
      const top = document.elementFromPoint(x, y);
      if (top && (element.contains(top) || top === element.closest("label"))) return [x, y];
      covered = `covered by <${top ? top.tagName.toLowerCase() : "nothing"}>`;
      if (performance.now() >= end) return covered;
      await new Promise((resolve) => setTimeout(resolve, this.LOOK_MS));
    }
  },

  async focus(selector, timeout_ms) {
    const element = await this.wait(selector, timeout_ms);
    if (!element) return false;
    element.focus({ preventScroll: true });
    if (element.select) element.select();
    else getSelection().selectAllChildren(element);
    return true;
  },

  // A long text is pasted: typing it in takes a browser seconds where it has many lines.
  paste(selector, text) {
    const element = this.usable(selector);
    if (!element) return;
    if ("value" in element) element.value = text;
    else element.textContent = text;
    element.dispatchEvent(new InputEvent("input", { bubbles: true, inputType: "insertFromPaste" }));
  },

  length(selector) {
    const element = this.usable(selector);
    return element ? (element.value ?? element.innerText).length : -1;
  },
};
