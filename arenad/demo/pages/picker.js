// The model picker: a button that opens a list, with a field that filters it.

let made = 0;

/** Build a picker into `root`, from the page's template. `chosen` is the model that its button shows. */
export class Picker {
  constructor({ root, label, models, first }) {
    const whole = document.getElementById("picker").content.cloneNode(true).firstElementChild;
    root.append(whole);
    this.whole = whole;
    this.button = whole.querySelector(".picked");
    this.choices = whole.querySelector(".choices");
    this.filter = whole.querySelector("input");
    this.none = whole.querySelector(".no-models");
    this.list = whole.querySelector("ul");
    this.models = models;
    this.first = first;
    made += 1;
    this.list.id = `models-${made}`;
    this.button.setAttribute("aria-label", label);
    for (const each of [this.button, this.filter]) each.setAttribute("aria-controls", this.list.id);
    this.list.append(...models.map((model, place) => this.option(model, place)));
    this.choose(first);
    this.listen();
  }

  nameOf(id) {
    return this.models.find((model) => model.id === id)?.publicName ?? "unknown model";
  }

  /** Make a model the chosen one, by its id. */
  choose(id) {
    this.chosen = id;
    this.button.dataset.model = this.nameOf(id);
    this.whole.querySelector(".picked-name").textContent = this.nameOf(id);
    for (const option of this.list.children) {
      option.setAttribute("aria-selected", String(option.dataset.modelId === id));
    }
  }

  chooseByName(name) {
    const model = this.models.find((each) => each.publicName === name);
    if (model) this.choose(model.id);
  }

  reset() {
    this.close();
    this.choose(this.first);
  }

  option(model, place) {
    const option = document.createElement("li");
    option.id = `${this.list.id}-${place}`;
    option.setAttribute("role", "option");
    option.setAttribute("aria-label", model.publicName);
    option.dataset.model = model.publicName;
    option.dataset.modelId = model.id;
    const name = document.createElement("span");
    name.textContent = model.publicName;
    const summary = document.createElement("small");
    summary.textContent = model.summary ?? model.organization ?? "";
    option.append(name, summary);
    return option;
  }

  listen() {
    this.button.addEventListener("click", () => (this.isOpen() ? this.close() : this.open("")));
    this.button.addEventListener("keydown", (event) => this.buttonKey(event));
    this.filter.addEventListener("input", () => this.narrow());
    this.filter.addEventListener("keydown", (event) => this.filterKey(event));
    // The press must not take the focus from the filter before the click is there.
    this.list.addEventListener("pointerdown", (event) => event.preventDefault());
    this.list.addEventListener("click", (event) => this.take(event.target.closest("[role=option]")));
    this.whole.addEventListener("focusout", (event) => {
      if (!this.whole.contains(event.relatedTarget)) this.close();
    });
  }

  isOpen() {
    return !this.choices.hidden;
  }

  open(typed) {
    this.choices.hidden = false;
    this.button.setAttribute("aria-expanded", "true");
    this.filter.value = typed;
    this.filter.focus();
    this.narrow();
  }

  close() {
    this.choices.hidden = true;
    this.button.setAttribute("aria-expanded", "false");
  }

  narrow() {
    const wanted = this.filter.value.trim().toLowerCase();
    for (const option of this.list.children) {
      option.hidden = !option.dataset.model.toLowerCase().includes(wanted);
    }
    const left = this.left();
    this.none.hidden = left.length > 0;
    const selected = left.find((option) => option.dataset.modelId === this.chosen);
    this.activate(wanted || !selected ? left[0] : selected);
  }

  left() {
    return Array.from(this.list.children).filter((option) => !option.hidden);
  }

  activate(option) {
    this.list.querySelector(".active")?.classList.remove("active");
    this.active = option;
    this.filter.setAttribute("aria-activedescendant", option?.id ?? "");
    option?.classList.add("active");
    option?.scrollIntoView({ block: "nearest" });
  }

  take(option) {
    if (!option) return;
    this.choose(option.dataset.modelId);
    this.close();
    document.querySelector("textarea").focus();
  }

  buttonKey(event) {
    const typed = event.key.length === 1 && event.key !== " " && !event.ctrlKey && !event.metaKey;
    if (!typed && !["ArrowDown", "ArrowUp"].includes(event.key)) return;
    event.preventDefault();
    this.open(typed ? event.key : "");
  }

  filterKey(event) {
    const left = this.left();
    const at = left.indexOf(this.active);
    const actions = {
      ArrowDown: () => this.activate(left[Math.min(at + 1, left.length - 1)]),
      ArrowUp: () => this.activate(left[Math.max(at - 1, 0)]),
      Home: () => this.activate(left[0]),
      End: () => this.activate(left.at(-1)),
      Enter: () => this.take(this.active),
      Escape: () => {
        this.close();
        this.button.focus();
      },
    };
    if (!Object.hasOwn(actions, event.key) || event.isComposing) return;
    event.preventDefault();
    actions[event.key]();
  }
}
