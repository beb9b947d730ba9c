// Runs in a world of its own beside the page's scripts, which can neither see nor change it.
globalThis.arenad = {
  usable(selector) {
    for (const element of document.querySelectorAll(selector)) {
      if (element.checkVisibility({ checkVisibilityCSS: true }) && !element.disabled) return element;
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
      const observer = new MutationObserver(look);
      const timer = setTimeout(() => finish(null), timeout_ms);
      const finish = (element) => {
        observer.disconnect();
        clearTimeout(timer);
        resolve(element);
      };
      observer.observe(document, { subtree: true, childList: true, attributes: true });
    });
  },

  // Where to press so that the element gets it: null when it is not there, a text when it is covered.
  async point(selector, timeout_ms) {
    const element = await this.wait(selector, timeout_ms);
    if (!element) return null;
    element.scrollIntoView({ block: "nearest", inline: "nearest", behavior: "instant" });
    const box = element.getBoundingClientRect();
    const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
    const top = document.elementFromPoint(x, y);
    if (top && (element.contains(top) || top.contains(element))) return [x, y];
    return `covered by <${top ? top.tagName.toLowerCase() : "nothing"}>`;
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
    element.value = text;
    element.dispatchEvent(new InputEvent("input", { bubbles: true, inputType: "insertFromPaste" }));
  },

  length(selector) {
    const element = this.usable(selector);
    return element ? (element.value ?? element.innerText).length : -1;
  },
};
