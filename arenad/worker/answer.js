// Watches the answer as it grows in the page. Runs in the same world of its own as page.js.
globalThis.arenadAnswer ??= {
  PACE_MS: 50, // so often at most; a page that draws at each token draws no faster
  CHARS_PER_MS: 2000, // a large answer is looked at less often
  QUIET_MS: 250, // after a sign of the end, what is still being drawn may come
  ALONE_MS: 5000, // and where the prompt alone shows, the answer
  UNTOLD: /[\s*_`~#>|\\-]/g, // of a prompt, these may be drawn or not
  LOOK_MS: 200, // an open shadow root appears without any mutation
  DEPTH: 100,
  token: 0,

  HIDDEN:
    "button, [role=button], script, style, svg, noscript, template, select, textarea, dialog, link, [hidden], " +
    "mat-icon, [class*=material-icons], [class*=material-symbols]", // icons that are words to their font
  BLOCKS: new Set(
    ("ADDRESS ARTICLE ASIDE BLOCKQUOTE DETAILS DIV DL FIGURE FOOTER H1 H2 H3 H4 H5 H6 HEADER HR LI MAIN MATH NAV " +
      "OL P PRE SECTION TABLE UL").split(" "),
  ),
  KEPT: new Set(
    ("A B BLOCKQUOTE BR CODE DEL EM H1 H2 H3 H4 H5 H6 HR I IMG KBD LI OL P PRE S STRONG SUB SUP TABLE TBODY TD TFOOT " +
      "TH THEAD TR UL").split(" "),
  ),
  ALONE: new Set(["BR", "HR", "IMG"]),

  // All matches in the document and in every open shadow root, in the order of the document. A selector
  // sees no further than its root; `a >> b` is a `b` anywhere inside of an `a`.
  all(selector) {
    let found = [document];
    for (const part of selector.split(" >> ")) found = found.flatMap((scope) => this.inside(scope, part));
    return [...new Set(found)];
  },

  inside(scope, selector) {
    if (!this.hasShadow(scope)) return [...scope.querySelectorAll(selector)];
    const found = [];
    const visit = (node) => {
      for (const child of [...(node.shadowRoot?.children ?? []), ...node.children]) {
        if (child.matches(selector)) found.push(child);
        visit(child);
      }
    };
    visit(scope);
    return found;
  },

  hasShadow(root) {
    if (root.shadowRoot) return true;
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_ELEMENT);
    while (walker.nextNode()) if (walker.currentNode.shadowRoot) return true;
    return false;
  },

  shown(selector) {
    return this.all(selector).some((each) => each.checkVisibility({ checkVisibilityCSS: true }));
  },

  async gone(selector, timeout_ms) {
    const end = performance.now() + timeout_ms;
    while (this.shown(selector)) {
      if (performance.now() >= end) return false;
      await new Promise((resolve) => setTimeout(resolve, this.PACE_MS));
    }
    return true;
  },

  // How many answers and ends there are before the prompt is sent.
  counts({ element, end }) {
    return [this.all(element).length, end ? this.all(end).length : 0];
  },

  // Resolves with what changed, once anything did: {from, blocks, state}. `state`: "" while there is no
  // answer yet, "running", or the sign by which it has ended.
  async next(rules) {
    if (this.token !== rules.token) this.begin(rules);
    const until = performance.now() + rules.timeout_ms;
    for (;;) {
      const result = this.look(rules);
      if (result.changed || result.state !== this.told) {
        this.told = result.state;
        return result;
      }
      if (performance.now() >= until) return result;
      await this.change(until);
    }
  },

  begin(rules) {
    this.token = rules.token;
    this.blocks = [];
    this.isPrompt = this.hasText = false;
    this.told = null;
    this.wasRunning = false;
    this.changed_ms = performance.now();
    this.looked_ms = 0;
    this.observer ??= new MutationObserver(() => this.wake?.());
  },

  // Until a mutation, wherever it is, or the next look; then the pace.
  async change(until) {
    this.watch();
    await new Promise((resolve) => {
      this.wake = resolve;
      setTimeout(resolve, Math.min(this.LOOK_MS, Math.max(0, until - performance.now())));
    });
    this.wake = null;
    const pace = this.PACE_MS + (this.chars ?? 0) / this.CHARS_PER_MS;
    const wait = this.looked_ms + pace - performance.now();
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
  },

  watch() {
    const options = { subtree: true, childList: true, characterData: true, attributes: true };
    this.observer.observe(document, options);
    for (let node = this.answer; node; node = node.parentNode ?? node.host)
      if (node instanceof ShadowRoot) this.observer.observe(node, options);
    for (const each of this.answer ? [this.answer, ...this.inside(this.answer, "*")] : [])
      if (each.shadowRoot) this.observer.observe(each.shadowRoot, options);
  },

  look(rules) {
    const now = (this.looked_ms = performance.now());
    const answers = this.all(rules.element);
    this.answer = answers.length > rules.before ? answers.at(-1) : null;
    const shown = this.answer ? this.read(this.answer, rules.skip.join(",")) : [];
    const isPrompt = this.isAsked(rules.asked);
    if (isPrompt !== this.isPrompt) this.changed_ms = now;
    this.isPrompt = isPrompt;
    let change = this.take(isPrompt ? [] : shown, now);
    const state = this.state(rules, now);
    if (isPrompt && state && state !== "running") change = this.take(shown, now); // then it was an echo
    return { ...change, state };
  },

  take(blocks, now) {
    let from = 0;
    while (from < blocks.length && blocks[from] === this.blocks[from]) from++;
    const changed = from < blocks.length || from < this.blocks.length;
    if (changed) this.changed_ms = now;
    this.blocks = blocks;
    this.hasText ||= blocks.some((block) => block.length > 1);
    this.chars = blocks.slice(from).reduce((sum, block) => sum + block.length, 0);
    return { from, blocks: blocks.slice(from), changed };
  },

  // Whether what would be the answer is the prompt, which a page may show in the same kind of element before
  // the answer. What grows towards it, as an echo does, is an answer.
  isAsked({ beginning, length }) {
    if (!this.answer || this.hasText || !length) return false;
    const text = this.text(this.answer).replaceAll(this.UNTOLD, "");
    return text.length === length && text.startsWith(beginning);
  },

  state(rules, now) {
    const running = arenad.usable(rules.stop) !== null;
    this.wasRunning ||= running;
    if (!this.answer) return running ? "running" : "";
    const quiet_ms = now - this.changed_ms;
    const enough_ms = this.isPrompt ? this.ALONE_MS : this.QUIET_MS;
    if (rules.end && this.all(rules.end).length > rules.endsBefore)
      return quiet_ms >= enough_ms ? "end" : "running";
    if (running) return "running";
    if (!rules.end && this.wasRunning) return quiet_ms >= enough_ms ? "stop" : "running";
    const has_text = this.blocks.some((block) => block.length > 1);
    return has_text && quiet_ms >= rules.settle_ms ? "quiet" : "running";
  },

  // -- blocks: "h" and HTML of what may be Markdown, or "t" and a text whose line ends are its own ----

  read(answer, skip) {
    this.skip = skip ? `${this.HIDDEN}, ${skip}` : this.HIDDEN;
    const blocks = [];
    this.collect(answer, 0, blocks);
    return blocks;
  },

  // A wrapper is gone through; what Markdown has a form for is a block, and so is a run of inline nodes.
  collect(node, depth, blocks) {
    const children = this.children(node);
    if (this.isKept(node) || depth > this.DEPTH) return blocks.push(`h${this.html(node, 0)}`.toWellFormed());
    if (!children.some((each) => this.isBlock(each))) {
      const as_is = getComputedStyle(node).whiteSpace.match(/pre|break-spaces/);
      return blocks.push((as_is ? `t${this.text(node)}` : `h${this.html(node, 0)}`).toWellFormed());
    }
    let inline = "";
    const flush = () => {
      if (inline.trim()) blocks.push(`h${inline}`.toWellFormed());
      inline = "";
    };
    for (const child of children) {
      if (this.isBlock(child)) {
        flush();
        this.collect(child, depth + 1, blocks);
      } else inline += this.html(child, 0);
    }
    flush();
  },

  isKept(node) {
    return this.KEPT.has(node.tagName) || this.formula(node) !== "";
  },

  children(node) {
    let nodes = (node.shadowRoot ?? node).childNodes;
    if (node.tagName === "SLOT" && node.assignedNodes().length) nodes = node.assignedNodes();
    return [...nodes].filter((each) => {
      if (each.nodeType === 3) return true;
      return each.nodeType === 1 && (!each.matches(this.skip) || this.isBox(each)) && !this.isPermalink(each);
    });
  },

  // A ¶ or # with which a page lets its headings be linked to: nobody has written that.
  isPermalink(element) {
    const isHere = element.tagName === "A" && element.getAttribute("href")?.startsWith("#");
    return isHere && element.closest("h1,h2,h3,h4,h5,h6") && !/[\p{L}\p{N}]/u.test(element.textContent);
  },

  isBox(element) {
    return element.tagName === "INPUT" && element.type === "checkbox";
  },

  isBlock(node) {
    if (node.nodeType !== 1) return false;
    if (this.BLOCKS.has(node.tagName)) return true;
    if (this.KEPT.has(node.tagName)) return false;
    const display = getComputedStyle(node).display;
    return display !== "inline" && (display !== "contents" || this.children(node).some((each) => this.isBlock(each)));
  },

  text(node) {
    if (node.nodeType === 3) return node.data;
    if (node.tagName === "BR") return "\n";
    return this.children(node).map((each) => this.text(each)).join("");
  },

  html(node, depth) {
    if (node.nodeType === 3) return this.escape(node.data);
    if (this.isBox(node)) return node.checked ? "[x] " : "[ ] ";
    const formula = this.formula(node);
    if (formula) return this.escape(formula);
    if (node.tagName === "PRE") return this.code(node);
    const name = this.KEPT.has(node.tagName) ? node.tagName.toLowerCase() : this.isBlock(node) ? "div" : "";
    if (this.ALONE.has(node.tagName)) return `<${name}${this.attributes(node)}>`;
    const deeper = depth < this.DEPTH ? (each) => this.html(each, depth + 1) : (each) => this.escape(each.textContent);
    const inner = this.children(node).map(deeper).join("");
    return name ? `<${name}${this.attributes(node)}>${inner}</${name}>` : inner;
  },

  code(pre) {
    const code = pre.querySelector("code") ?? pre;
    const named = `${pre.className} ${code.className} language-${code.dataset.language ?? pre.dataset.language ?? ""}`;
    const language = named.match(/(?:language|lang)-([^\s"]+)/)?.[1] ?? "";
    return `<pre class="language-${this.escape(language)}">\n${this.escape(this.text(code))}</pre>`;
  },

  // What a formula was written as: KaTeX, MathJax and MathML keep it in an annotation.
  formula(node) {
    if (!node.matches(".katex, .katex-display, mjx-container, math")) return "";
    const source = node.querySelector('annotation[encoding="application/x-tex"]')?.textContent.trim();
    if (!source) return "";
    const wide = node.matches(".katex-display, [display=true], [display=block]");
    return wide ? `$$\n${source}\n$$` : `$${source}$`;
  },

  attributes(element) {
    const given = [];
    const add = (name, value) => value && given.push(` ${name}="${this.escape(value)}"`);
    if (element.tagName === "A") add("href", element.getAttribute("href"));
    if (element.tagName === "IMG") add("src", element.currentSrc || element.src);
    if (element.tagName === "IMG") add("alt", element.alt);
    if (element.tagName === "OL") add("start", element.getAttribute("start"));
    if (/^T[HD]$/.test(element.tagName)) add("align", element.getAttribute("align") ?? element.style.textAlign);
    return given.join("");
  },

  escape(text) {
    return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
  },
};
