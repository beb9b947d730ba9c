// What `learn` sees: a lasting selector for an element, and what grew on the page after a prompt.
Object.assign(globalThis.arenad, {
  TELLING: ["data-testid", "data-role", "data-message-author-role", "name", "aria-label", "placeholder"],
  PASSING: /(active|focus|hover|load|stream|typing|pending|done|busy|open|hidden|visible|last|first|new)/i,
  // What a build tool or a counter made will not be there tomorrow.
  MADE: /\d{2,}|\d$|[a-z][A-Z][a-z]*[A-Z]|^(css|sc|jsx?|svelte|astro|ng|v)-|[-_:](?=[a-z]*\d)[a-z0-9]{5,}$/,
  ANY: new Set(["div", "span", "p", "li", "section"]), // tags that tell nothing

  quoted(value) {
    return `"${value.replace(/["\\]/g, "\\$&")}"`;
  },

  isOnly(selector, element) {
    try {
      return this.all(selector).find((each) => this.isUsable(each)) === element;
    } catch {
      return false;
    }
  },

  // A selector that leads to the element alone, the most lasting kind first.
  describe(element) {
    const tag = element.localName;
    const options = [];
    if (element.id && !this.MADE.test(element.id)) options.push(`#${CSS.escape(element.id)}`);
    for (const name of this.TELLING) {
      const value = element.getAttribute(name);
      if (value && !/\d{3,}|\d$/.test(value)) options.push(`${tag}[${name}=${this.quoted(value)}]`);
    }
    const name = this.nameOf(element).replace(/\s+/g, " ").trim();
    const role = Object.keys(this.ROLES).find((each) => element.matches(this.ROLES[each]));
    const given = element.getAttribute("role") ?? role;
    if (name && name.length < 60 && given) options.push(`role=${given}[name=${this.quoted(name)}]`);
    options.push(...this.classes(element).map((each) => `${tag}.${CSS.escape(each)}`));
    if (element.getAttribute("type")) options.push(`${tag}[type=${this.quoted(element.type)}]`);
    options.push(tag);
    if (element.id) options.push(`#${CSS.escape(element.id)}`); // better than none
    return options.find((selector) => this.isOnly(selector, element)) ?? null;
  },

  classes(element) {
    return [...element.classList].filter((each) => !this.MADE.test(each) && !this.PASSING.test(each));
  },

  above(element) {
    const found = [];
    for (let at = element; at; at = at.parentElement ?? at.getRootNode().host) found.push(at);
    return found;
  },

  // A selector for elements of this kind, of which this is the last; or for what holds it and shows no more.
  // Best is one that is none for the prompt's turn; else one that finds there just the prompt, by which
  // answer.js tells it from an answer.
  kind(element, prompt) {
    const turn = new Set(this.asked ? this.above(this.asked) : []);
    const bare = (text) => text.replaceAll(arenadAnswer.UNTOLD, "");
    const asked = bare(prompt);
    const isPrompt = (each) => bare(arenadAnswer.text(each)) === asked;
    let second = null;
    for (const [selector, at] of this.options(element)) {
      const found = arenadAnswer.all(selector);
      if (found.at(-1) !== at) continue;
      const others = found.filter((each) => turn.has(each));
      if (!others.length) return selector;
      if (others.every(isPrompt)) second ??= selector;
    }
    return second;
  },

  *options(element) {
    const whole = arenadAnswer.text(element).trim();
    for (const at of this.above(element)) {
      if (arenadAnswer.text(at).trim() !== whole) break;
      for (const own of this.kinds(at)) if (!this.ANY.has(own)) yield [own, at];
    }
    let below = "";
    for (let at = element, depth = 0; at && depth < 4; at = at.parentElement, depth += 1) {
      for (const own of this.kinds(at)) yield [own + below, element];
      below = ` > ${this.kinds(at).at(-1)}${below}`;
    }
  },

  kinds(element) {
    const tag = element.localName;
    const told = ["data-role", "data-message-author-role", "data-author", "data-testid", "role"];
    const attributes = told.filter((name) => element.getAttribute(name) && !/\d/.test(element.getAttribute(name)));
    return [
      ...attributes.map((name) => `${tag}[${name}=${this.quoted(element.getAttribute(name))}]`),
      ...this.classes(element).map((each) => `${tag}.${CSS.escape(each)}`),
      tag,
    ];
  },

  // The landmark's own selector, or nothing where the page has none.
  named(places) {
    const element = this.usable(places);
    return element ? this.describe(element) : null;
  },
});
