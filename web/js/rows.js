/** Rows of the tables and of the story: made from templates, kept by key, changed in place. */

import { age, count, mebibytes, moment, percent, share } from "./format.js";
import { drainable, needsPerson, standing, startVerb } from "./words.js";

/** @typedef {import("./store.js").Child} Child */
/** @typedef {import("./store.js").Happening} Happening */

/**
 * Write a text only where it differs, so that selections and screen readers are left in peace.
 * @param {Element} element
 * @param {string} text
 */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Set a tone's colour and shape.
 * @param {Element} element
 * @param {import("./words.js").Tone} tone
 */
export function tint(element, tone) {
  if (element.getAttribute("data-tone") === tone) return;
  element.setAttribute("data-tone", tone);
  element.querySelector("use")?.setAttribute("href", `#shape-${tone}`);
}

/**
 * The part of a row that carries `data-part`.
 * @param {Element} row
 * @param {string} name
 * @returns {HTMLElement}
 */
function part(row, name) {
  const found = row.querySelector(`[data-part="${name}"]`);
  if (!(found instanceof HTMLElement)) throw new Error(`the row has no part ${name}`);
  return found;
}

/**
 * Have one element per item, in this order. What stays is not moved: it keeps focus and selection.
 * @template Item
 * @param {Element} parent
 * @param {HTMLTemplateElement} template
 * @param {readonly Item[]} items
 * @param {(item: Item) => string} keyOf
 * @param {(element: HTMLElement, item: Item) => void} fill
 */
export function keep(parent, template, items, keyOf, fill) {
  /** @type {Map<string, Item>} */
  const wanted = new Map();
  for (const item of items) wanted.set(unused(keyOf(item), wanted), item);
  /** @type {Map<string, HTMLElement>} */
  const present = new Map();
  for (const element of [...parent.children]) {
    if (!(element instanceof HTMLElement)) continue;
    const key = element.dataset.key ?? "";
    if (wanted.has(key)) present.set(key, element);
    else dismiss(element);
  }
  let place = parent.firstElementChild;
  for (const [key, item] of wanted) {
    const element = present.get(key) ?? blank(template, key);
    fill(element, item);
    if (element === place) place = place.nextElementSibling;
    else parent.insertBefore(element, place);
  }
}

/**
 * @param {string} key
 * @param {Map<string, unknown>} taken
 */
function unused(key, taken) {
  let free = key;
  while (taken.has(free)) free += "'";
  return free;
}

/**
 * @param {HTMLTemplateElement} template
 * @param {string} key
 * @returns {HTMLElement}
 */
function blank(template, key) {
  const element = template.content.firstElementChild?.cloneNode(true);
  if (!(element instanceof HTMLElement)) throw new Error(`template ${template.id} is empty`);
  element.dataset.key = key;
  return element;
}

/**
 * Remove an element; focus that was inside goes to the scrolling box around it, not to the page's top.
 * @param {HTMLElement} element
 */
function dismiss(element) {
  const box = element.closest("[tabindex]");
  const held = element.contains(document.activeElement);
  element.remove();
  if (held && box instanceof HTMLElement) box.focus();
}

/**
 * @param {HTMLElement} row
 * @param {Child} child
 * @param {{ largest_bytes: number, pending: readonly string[] }} beside
 */
export function fillInstance(row, child, beside) {
  fillProcess(row, child, beside.pending);
  fillView(row, child);
  write(part(row, "busy"), `${count(child.busy)} of ${count(child.slots)}`);
  fillBar(part(row, "busy-bar"), share(child.busy, child.slots));
  write(part(row, "answered"), count(child.answered));
  write(part(row, "failed"), count(child.failed));
  const measured = child.memory_bytes > 0;
  write(part(row, "memory"), measured ? mebibytes(child.memory_bytes) : "–");
  fillBar(part(row, "memory-bar"), share(child.memory_bytes, beside.largest_bytes));
  write(part(row, "cpu"), measured ? percent(child.cpu_percent) : "–");
  write(part(row, "processes"), measured ? count(child.processes) : "–");
  write(part(row, "descriptors"), measured ? `${count(child.descriptors)} descriptors` : "");
}

/**
 * The way to the live view: as the row's first order where a person is needed, else in reserve.
 * @param {HTMLElement} row
 * @param {Child} child
 */
function fillView(row, child) {
  const view = part(row, "view");
  const needed = child.phase === "ready" && needsPerson(child.condition);
  view.setAttribute("href", `/gui/view/${encodeURIComponent(child.name)}`);
  view.toggleAttribute("data-needed", needed);
  write(part(row, "view-verb"), needed ? "Clear it" : "View");
  write(part(row, "view-whom"), needed ? ` on the page of ${child.name}` : ` the page of ${child.name}`);
}

/**
 * What instances and other processes have in common.
 * @param {HTMLElement} row
 * @param {Child} child
 * @param {readonly string[]} pending
 */
export function fillProcess(row, child, pending) {
  const { word, tone, note } = standing(child);
  write(part(row, "name"), child.name);
  tint(part(row, "standing"), tone);
  write(part(row, "word"), word);
  write(part(row, "age"), `for ${age(child.phase_age_s)}`);
  write(part(row, "note"), note === "" ? "" : `; ${note}`);
  write(part(row, "pid"), child.pid > 0 ? String(child.pid) : "–");
  write(part(row, "generation"), `generation ${child.generation}`);
  write(part(row, "restarts"), count(child.restarts));
  write(part(row, "death"), child.last_death);
  for (const button of row.querySelectorAll("button")) fillButton(button, child, pending);
}

/**
 * Buttons are never `disabled`, which would throw away focus; they say that they are, and do nothing.
 * @param {HTMLButtonElement} button
 * @param {Child} child
 * @param {readonly string[]} pending
 */
function fillButton(button, child, pending) {
  const order = button.dataset.order ?? "";
  if (order === "restart") write(part(button, "verb"), startVerb(child));
  write(part(button, "whom"), ` ${child.name}`);
  const busy = pending.some((key) => key.endsWith(` ${child.name}`));
  const idle = order === "drain" && !drainable(child);
  button.setAttribute("aria-disabled", String(busy || idle));
  button.setAttribute("aria-busy", String(pending.includes(`${order} ${child.name}`)));
}

/**
 * @param {HTMLElement} bar
 * @param {number} filled from 0 to 1
 */
function fillBar(bar, filled) {
  bar.style.setProperty("--filled", filled.toFixed(3));
}

/**
 * @param {HTMLElement} line
 * @param {Happening} happening
 * @param {number} now_ms
 */
export function fillHappening(line, happening, now_ms) {
  const time = part(line, "time");
  write(time, moment(happening.at_unix_s, now_ms));
  time.setAttribute("datetime", new Date(happening.at_unix_s * 1000).toISOString());
  write(part(line, "about"), happening.about);
  write(part(line, "text"), happening.text);
}
