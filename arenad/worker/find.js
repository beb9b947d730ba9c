// How a profile's places are found. Runs in a world of its own beside the page's scripts.
//
// A place is a list of selectors, of which the first that is there counts; a selector is CSS,
// `role=button[name="Send"]` (whole name), `[name*="send"]` (part of it), `[name=/send/i]`, or
// `text=Send` (part), `text="Send"` (whole); ` >> ` goes on inside of what was found so far. All of
// them go through open shadow roots and frames of the page's own origin.
globalThis.arenad ??= {};
Object.assign(globalThis.arenad, {
  ROLES: {
    button: "button,summary,input:is([type=button],[type=submit],[type=reset],[type=image])",
    textbox:
      "textarea,input:not([type]),input:is([type=text],[type=email],[type=tel],[type=url])," +
      "[contenteditable=''],[contenteditable=true],[contenteditable=plaintext-only]",
    searchbox: "input[type=search]",
    combobox: "select:not([multiple],[size])",
    listbox: "select:is([multiple],[size])",
    option: "option",
    checkbox: "input[type=checkbox]",
    radio: "input[type=radio]",
    link: "a[href],area[href]",
    heading: "h1,h2,h3,h4,h5,h6",
    dialog: "dialog",
    form: "form",
    list: "ul,ol",
    listitem: "li",
    article: "article",
    main: "main",
    navigation: "nav",
    img: "img",
    status: "output",
  },

  // -- where to look --------------------------------------------------------------------------------

  *roots(scope) {
    if (scope.nodeType !== Node.ELEMENT_NODE) yield scope;
    const inside = [...scope.querySelectorAll("*")];
    if (scope.nodeType === Node.ELEMENT_NODE) inside.unshift(scope);
    for (const element of inside) {
      const inner = element.shadowRoot ?? this.framed(element);
      if (inner) yield* this.roots(inner);
    }
  },

  framed(element) {
    return element.localName === "iframe" ? element.contentDocument : null;
  },

  scopes(scope) {
    const roots = [...this.roots(scope)];
    return scope.nodeType === Node.ELEMENT_NODE ? [scope, ...roots] : roots;
  },

  // -- what matches ---------------------------------------------------------------------------------

  all(selector) {
    let found = [document];
    for (const part of selector.split(" >> ")) {
      const match = this.matcher(part.trim());
      const next = new Set();
      for (const scope of found) {
        for (const root of this.scopes(scope)) for (const element of match(root)) next.add(element);
      }
      found = [...next];
    }
    return found;
  },

  matcher(part) {
    const [, engine, rest] = /^(css|role|text)=(.*)$/s.exec(part) ?? [null, "css", part];
    if (engine === "role") return this.byRole(rest);
    if (engine === "text") return this.byText(rest.trim());
    return (root) => root.querySelectorAll(rest);
  },

  byRole(text) {
    const [, role, rest] = /^([a-z]+)(.*)$/s.exec(text);
    const tests = [...rest.matchAll(/\[name(\*?)=(?:"((?:\\.|[^"\\])*)"|\/((?:\\.|[^\/\\])+)\/(i?))\]/g)];
    const checks = tests.map(([, part, quoted, pattern, flags]) => {
      if (pattern !== undefined) return (name) => new RegExp(pattern, flags).test(name);
      const wanted = this.plain(quoted.replace(/\\(.)/g, "$1"));
      return (name) => (part ? this.plain(name).includes(wanted) : this.plain(name) === wanted);
    });
    const implicit = this.ROLES[role] ? `,:is(${this.ROLES[role]}):not([role])` : "";
    const css = `[role~="${role}"]${implicit}`;
    return (root) =>
      [...root.querySelectorAll(css)].filter((element) => {
        const name = checks.length ? this.nameOf(element) : "";
        return checks.every((check) => check(name));
      });
  },

  // The innermost elements with the text.
  byText(text) {
    const quoted = /^"(.*)"$/s.exec(text);
    const wanted = this.plain(quoted ? quoted[1] : text);
    const has = (element) => {
      const own = this.plain(element.localName === "input" ? element.value : element.textContent);
      return quoted ? own === wanted : own.includes(wanted);
    };
    const silent = "script,style,template,noscript,head";
    const within = (root) => [...(root.nodeType === Node.ELEMENT_NODE ? [root] : []), ...root.querySelectorAll("*")];
    return (root) =>
      within(root).filter(
        (element) =>
          has(element) && !element.closest(silent) && ![...element.children].some(has),
      );
  },

  plain(text) {
    return (text ?? "").replace(/\s+/g, " ").trim().toLowerCase();
  },

  // An element's accessible name, as far as chat pages need it.
  nameOf(element) {
    const named = (element.getAttribute("aria-labelledby") ?? "").split(/\s+/).filter(Boolean);
    const root = element.getRootNode();
    const labels = named.map((id) => root.getElementById?.(id)?.textContent ?? "").join(" ");
    if (labels.trim()) return labels;
    const given = element.getAttribute("aria-label");
    if (given?.trim()) return given;
    if (element.labels?.length) return [...element.labels].map((label) => label.textContent).join(" ");
    const isField = element.matches("input,textarea,select,[contenteditable]");
    const isButton = element.matches("input:is([type=button],[type=submit],[type=reset])");
    const parts = [isButton ? element.value : "", isField ? "" : this.innerName(element)];
    const attributes = ["alt", "placeholder", "data-placeholder", "aria-placeholder", "title"];
    parts.push(...attributes.map((attribute) => element.getAttribute(attribute) ?? ""));
    return parts.find((each) => each.trim()) ?? "";
  },

  innerName(element) {
    const pictures = [...element.querySelectorAll("img[alt],[aria-label]")];
    const hidden = pictures.map((each) => each.getAttribute("aria-label") ?? each.alt);
    return [element.textContent, ...hidden].join(" ");
  },

  // -- what can be used -----------------------------------------------------------------------------

  isVisible(element) {
    for (let at = element; at; at = at.ownerDocument.defaultView?.frameElement) {
      if (!at.checkVisibility({ checkVisibilityCSS: true })) return false;
    }
    return true;
  },

  isUsable(element) {
    const isOff = element.matches(":disabled,[aria-disabled=true]") || element.closest("[inert]");
    return !isOff && this.isVisible(element) && this.isReachable(element);
  },

  // A modal dialog makes everything else on its page inert.
  isReachable(element) {
    const modal = element.ownerDocument.querySelector("dialog:modal");
    return !modal || this.holds(modal, element);
  },

  holds(element, inner) {
    for (let at = inner; at; at = at.assignedSlot ?? at.parentNode ?? at.host) {
      if (at === element) return true;
    }
    return false;
  },

  // The first element that is visible and enabled; of one id given twice, the one that is seen.
  usable(places) {
    for (const selector of places) {
      const element = this.all(selector).find((each) => this.isUsable(each));
      if (element) return element;
    }
    return null;
  },

  // Which of the selectors has it, or -1; how `site test` and `learn` tell what they found.
  place(places) {
    return places.findIndex((selector) => this.all(selector).some((each) => this.isUsable(each)));
  },
});
