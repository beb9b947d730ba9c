/** Ties the page together: feed and buttons tell the store, the store tells the view. */

import { orderChild, scale } from "./actions.js";
import { follow } from "./feed.js";
import { EMPTY, reduce } from "./store.js";
import { at, show } from "./view.js";
import { consequence } from "./words.js";

/** @typedef {import("./store.js").Note} Note */
/** @typedef {import("./store.js").Outcome} Outcome */
/** @typedef {"restart" | "drain"} Order */

const TICK_MS = 1000;

let store = EMPTY;

/** @param {Note} message */
function tell(message) {
  const now_ms = Date.now();
  store = reduce(store, message, now_ms);
  show(store, now_ms);
}

/**
 * Send an order, and show that it is under way and what it led to.
 * @param {string} key
 * @param {() => Promise<Outcome>} send
 */
async function carryOut(key, send) {
  if (store.pending.includes(key)) return;
  tell({ type: "ordered", key });
  tell({ type: "settled", key, outcome: await send() });
}

/**
 * A message of the feed, or null for what is none.
 * @param {string | ArrayBuffer} text
 * @returns {Note | null}
 */
function parse(text) {
  try {
    const message = JSON.parse(String(text));
    const known = message?.type === "state" || message?.type === "gone";
    return known ? message : null;
  } catch {
    return null;
  }
}

/** @param {Element | null} button */
function disabled(button) {
  return button?.getAttribute("aria-disabled") === "true";
}

function prepareScale() {
  const field = /** @type {HTMLInputElement} */ (at("scale-count"));
  const aim = () => store.draft ?? store.state?.instances_wanted ?? 0;
  for (const [id, step] of /** @type {const} */ ([["scale-less", -1], ["scale-more", 1]])) {
    at(id).addEventListener("click", () => {
      if (!disabled(at(id))) tell({ type: "draft", instances: aim() + step });
    });
  }
  field.addEventListener("input", () => tell({ type: "draft", instances: field.valueAsNumber }));
  field.addEventListener("change", () => {
    field.value = String(aim());
  });
  at("scale").addEventListener("submit", (event) => {
    event.preventDefault();
    const { draft } = store;
    if (draft !== null) void carryOut("scale", () => scale(draft));
  });
}

function prepareOrders() {
  for (const id of ["instances", "others"]) {
    at(id).addEventListener("click", ({ target }) => {
      const button = target instanceof Element ? target.closest("button") : null;
      const row = button?.closest("tr");
      if (!button || !row || disabled(button)) return;
      ask(/** @type {Order} */ (button.dataset.order), row.dataset.key ?? "");
    });
  }
}

/**
 * Say what an order does before it goes out.
 * @param {Order} order
 * @param {string} name
 */
function ask(order, name) {
  const child = store.state?.children.find((each) => each.name === name);
  if (child === undefined) return;
  const { title, text, verb } = consequence(order, child);
  const dialog = /** @type {HTMLDialogElement} */ (at("confirm"));
  at("confirm-title").textContent = title;
  at("confirm-text").textContent = text;
  at("confirm-yes").textContent = verb;
  at("confirm-yes").onclick = () => {
    dialog.close();
    void carryOut(`${order} ${name}`, () => orderChild(order, name));
  };
  dialog.showModal();
}

at("confirm-no").addEventListener("click", () => {
  /** @type {HTMLDialogElement} */ (at("confirm")).close();
});
at("outcome-dismiss").addEventListener("click", () => tell({ type: "dismissed" }));
prepareScale();
prepareOrders();
follow("/gui/ws", parse, (message) => {
  if (message.type !== "ended") tell(message);
});
setInterval(() => tell({ type: "tick" }), TICK_MS);
