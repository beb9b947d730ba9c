// Looks and acts. Runs in a world of its own beside the page's scripts, which can neither see nor
// change it. A place is a list of selectors (find.js).
Object.assign(globalThis.arenad, {
  LOOK_MS: 100,
  SETTLE_LOOKS: 20,

  // Resolves with what `look` gives once that is something; with null after `timeout_ms`.
  until(look, timeout_ms) {
    const found = look();
    if (found) return Promise.resolve(found);
    return new Promise((resolve) => {
      const again = () => {
        const seen = look();
        if (seen) finish(seen);
      };
      const finish = (seen) => {
        observer.disconnect();
        clearInterval(interval);
        clearTimeout(timer);
        resolve(seen);
      };
      const observer = new MutationObserver(again);
      // A style sheet, a transition, a shadow root or a frame can show an element without a mutation.
      const interval = setInterval(again, this.LOOK_MS);
      const timer = setTimeout(() => finish(null), timeout_ms);
      observer.observe(document, { subtree: true, childList: true, attributes: true });
    });
  },

  // Resolves with the element once it is there, visible and enabled; with null after `timeout_ms`.
  wait(places, timeout_ms) {
    return this.until(() => this.usable(places), timeout_ms);
  },

  async has(places, timeout_ms) {
    return (await this.wait(places, timeout_ms)) !== null;
  },

  async gone(places, timeout_ms) {
    return (await this.until(() => !this.usable(places), timeout_ms)) !== null;
  },

  // The number of the first look that sees something now: a place, or a text, or an address.
  seen(looks) {
    return looks.findIndex(({ places, text, url }) => {
      if (places) return this.usable(places) !== null;
      if (url) return new RegExp(url).test(location.href);
      return this.plain(`${document.title} ${document.body?.innerText ?? ""}`).includes(this.plain(text));
    });
  },

  async first(looks, timeout_ms) {
    const found = await this.until(() => this.seen(looks) + 1, timeout_ms);
    return (found ?? 0) - 1;
  },

  // Where to press so that the element gets it: null when it is not there, a text when it stays covered.
  async point(places, timeout_ms) {
    const end = performance.now() + timeout_ms;
    for (let covered = null; ; ) {
      const element = await this.wait(places, Math.max(0, end - performance.now()));
      if (!element) return covered;
      const spot = this.spot(element);
      if (typeof spot !== "string" || performance.now() >= end) return spot;
      covered = spot;
      await new Promise((resolve) => setTimeout(resolve, this.LOOK_MS));
    }
  },

  // Where an element is to be pressed now, or by what it is covered.
  spot(element) {
    element.scrollIntoView({ block: "nearest", inline: "nearest", behavior: "instant" });
    const box = element.getBoundingClientRect();
    const [dx, dy] = this.offset(element);
    const [x, y] = [dx + box.x + box.width / 2, dy + box.y + box.height / 2];
    const top = this.topAt(x, y);
    if (top && (this.holds(element, top) || top === element.closest("label"))) return [x, y];
    return `covered by <${top ? top.tagName.toLowerCase() : "nothing"}>`;
  },

  // The point of what can be pressed without a wait; null when nothing can.
  spotNow(places) {
    const element = this.usable(places);
    const spot = element && this.spot(element);
    return typeof spot === "string" ? null : spot;
  },

  // How far the element's own document lies from the window's corner: frames stand in frames.
  offset(element) {
    let [x, y] = [0, 0];
    let frame = element.ownerDocument.defaultView.frameElement;
    for (; frame; frame = frame.ownerDocument.defaultView.frameElement) {
      const box = frame.getBoundingClientRect();
      x += box.x + frame.clientLeft;
      y += box.y + frame.clientTop;
    }
    return [x, y];
  },

  // The innermost element at a point, through shadow roots and frames.
  topAt(x, y) {
    let top = document.elementFromPoint(x, y);
    for (;;) {
      let inner = null;
      if (top?.shadowRoot) {
        const [dx, dy] = this.offset(top);
        inner = top.shadowRoot.elementFromPoint(x - dx, y - dy);
      } else if (top && this.framed(top)) {
        const box = top.getBoundingClientRect();
        const [dx, dy] = this.offset(top);
        const [left, up] = [dx + box.x + top.clientLeft, dy + box.y + top.clientTop];
        inner = this.framed(top).elementFromPoint(x - left, y - up);
      }
      if (!inner || inner === top) return top;
      top = inner;
    }
  },

  async focus(places, timeout_ms) {
    const element = await this.wait(places, timeout_ms);
    if (!element) return false;
    element.focus({ preventScroll: true });
    const root = element.getRootNode();
    if (element.select) element.select();
    else (root.getSelection?.() ?? getSelection()).selectAllChildren(element);
    return true;
  },

  // A long text is pasted: typing it in takes a browser seconds where it has many lines.
  paste(places, text) {
    const element = this.usable(places);
    if (!element) return;
    if ("value" in element) element.value = element.maxLength < 0 ? text : text.slice(0, element.maxLength);
    else if (this.pasted(element, text)) return;
    else element.textContent = text;
    const told = { bubbles: true, composed: true, inputType: "insertFromPaste" };
    element.dispatchEvent(new InputEvent("input", told));
  },

  // Editors with a model of their own take the text from the event, and prevent the browser's way.
  pasted(element, text) {
    const clipboardData = new DataTransfer();
    clipboardData.setData("text/plain", text);
    // Firefox leaves the transfer out, and knows `data` in its place.
    const own = { data: text, dataType: "text/plain" };
    const told = { bubbles: true, cancelable: true, composed: true, clipboardData, ...own };
    return !element.dispatchEvent(new ClipboardEvent("paste", told));
  },

  // How much of a text a field holds, of how much, and whether that is its beginning: of rich text
  // only marks that are no space count. A page may cut or show what was pasted in a moment of its own,
  // so that is looked at until it holds still.
  async written(places, text, was_pasted) {
    const held = () => {
      const element = this.usable(places);
      if (!element) return ["", ""];
      if ("value" in element) return [element.value, text.replace(/\r\n?/g, "\n")];
      return [element.innerText.replace(/\s/g, ""), text.replace(/\s/g, "")];
    };
    let [own, given] = held();
    for (let looks = was_pasted ? this.SETTLE_LOOKS : 0; looks > 0; looks--) {
      const before = own;
      await new Promise((resolve) => setTimeout(resolve, this.LOOK_MS));
      [own, given] = held();
      if (own === before) break;
    }
    return [own.length, given.length, own !== "" && given.startsWith(own)];
  },

  // A native list opens outside of the page, so its option is chosen as the keyboard would.
  select(places, name) {
    const list = this.usable(places);
    if (list?.localName !== "select") return false;
    const wanted = [...list.options].find((each) => each.label.replace(/\s+/g, " ").trim() === name);
    if (!wanted) return false;
    list.value = wanted.value;
    for (const kind of ["input", "change"]) list.dispatchEvent(new Event(kind, { bubbles: true }));
    return true;
  },

  // How an option is chosen: whether it is by now, in a native list by us, and else where to press.
  wayTo(chosen, list, name) {
    if (this.usable(chosen) || this.select(list, name)) return [true, null];
    return [false, this.spotNow(list)];
  },

  // Whether a text is written (`written`); if it is, options are chosen again, and the point to send it at.
  async sendable(places, text, wasPasted, lists, send) {
    const held = await this.written(places, text, wasPasted);
    if (held[0] !== held[1]) return [held, null];
    for (const [list, name] of lists) this.select(list, name);
    return [held, this.spotNow(send)];
  },

  // Names that elements show: a value, a label, or their text.
  names(places) {
    for (const selector of places) {
      const found = this.all(selector).map((each) => {
        const own = each.localName === "option" ? each.label : this.nameOf(each);
        return own.replace(/\s+/g, " ").trim();
      });
      if (found.some(Boolean)) return found.filter(Boolean);
    }
    return [];
  },
});
