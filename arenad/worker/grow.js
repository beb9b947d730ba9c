// What grew on a page after a prompt: the answer of a page that nobody has described.
Object.assign(globalThis.arenad, {
  SILENT: "button,textarea,input,select,option,style,script,svg,[role=status],[role=alert]",
  WRAPPED: "div,p,pre,ul,ol,table,blockquote,section,article",
  BLOCK: "p,pre,ul,ol,table,blockquote,h1,h2,h3,h4,h5,h6,span,b,strong,em,code,br",

  everything() {
    return [...this.roots(document)].flatMap((root) => [...root.querySelectorAll("*")]);
  },

  // What is there before the prompt is sent.
  mark() {
    this.known = new WeakSet(this.everything());
    this.grown = { element: null, text: "", since_ms: performance.now() };
    return 0;
  },

  inside(element) {
    return [...(element.shadowRoot?.children ?? []), ...element.children];
  },

  // What can be read in an element, in its shadow roots too; within one look each is read once.
  textOf(element) {
    let text = this.texts.get(element);
    if (text === undefined) this.texts.set(element, (text = this.read(element)));
    return text;
  },

  read(element) {
    if (element.matches("style,script")) return "";
    const hosts = [element, ...element.querySelectorAll("*")].filter((each) => each.shadowRoot);
    const inner = hosts.flatMap((host) => [...host.shadowRoot.children].map((each) => this.textOf(each)));
    return [element.innerText ?? "", ...inner].join("\n").trim();
  },

  // New elements below none that is new, or what is beside the prompt in them.
  candidates(prompt) {
    const wanted = this.plain(prompt);
    const isNew = (each) => each && !this.known.has(each);
    const above = (each) => each.parentElement ?? each.getRootNode().host;
    const tops = this.everything().filter((each) => isNew(each) && !isNew(above(each)));
    this.asked = null;
    const parts = (element) => {
      const has = (each) => this.plain(this.textOf(each)).includes(wanted);
      if (this.asked || !has(element)) return [element];
      const children = this.inside(element);
      if (children.some(has)) return children.flatMap(parts);
      this.asked = element;
      return [];
    };
    return tops.flatMap(parts).filter((each) => !each.closest(this.SILENT) && this.isVisible(each));
  },

  // The new element with most to read; within it the one that has most of that, unless it is a block of it.
  find(prompt) {
    this.texts = new Map();
    const texts = new Map(this.candidates(prompt).map((each) => [each, this.textOf(each).length]));
    let found = null;
    for (const [each, chars] of texts) if (chars && chars >= (texts.get(found) ?? 0)) found = each;
    for (let inner = found; inner; ) {
      found = inner;
      const whole = this.textOf(found).length;
      const parts = this.inside(found).filter((each) => this.textOf(each));
      inner = parts.find((each) => !this.isBlockOf(parts, each) && this.textOf(each).length > 0.5 * whole);
    }
    return found;
  },

  // A paragraph: by its tag, or as one of several parts of a kind with nothing but words in it.
  isBlockOf(parts, element) {
    const isAlike = (each) => each.localName === element.localName && each.className === element.className;
    const isAlone = element.shadowRoot || element.querySelector(this.WRAPPED) || parts.filter(isAlike).length < 2;
    return element.matches(this.BLOCK) || !isAlone;
  },

  // Resolves when something has changed, or after `wait_ms`: how much there is, for how long it has rested,
  // and whether a button or an animation shows that the page is still at work.
  async growth(prompt, stop, wait_ms) {
    const end = performance.now() + wait_ms;
    for (;;) {
      const element = this.find(prompt);
      const text = element ? this.textOf(element) : "";
      const now = performance.now();
      const changed = text !== this.grown.text;
      if (changed) this.grown = { element, text, since_ms: now };
      else this.grown.element = element;
      if (changed || now >= end) {
        const rested_ms = now - this.grown.since_ms;
        return { chars: text.length, rested_ms, runs: this.usable(stop) !== null, moves: this.moves(element) };
      }
      await new Promise((resolve) => setTimeout(resolve, this.LOOK_MS));
    }
  },

  // Dots that blink, a ring that turns.
  moves(element) {
    const endless = document.getAnimations().filter((each) => {
      const target = each.effect?.target;
      const isEndless = each.playState === "running" && each.effect.getComputedTiming().iterations === Infinity;
      return isEndless && target && !this.known.has(target) && this.isVisible(target);
    });
    return Boolean(element) && endless.length > 0;
  },

  // What grew: its text, a selector for its kind, and its blocks as answer.js reads them.
  lesson(prompt) {
    const { element, text } = this.grown;
    if (!element) return { text: "", element: null, blocks: [] };
    const blocks = arenadAnswer.read(element, "");
    return { text, element: this.kind(element, prompt), blocks };
  },
});
