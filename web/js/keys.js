/** What keys, places and wheels of this browser mean to the instance's page. Pure: no DOM. */

/** @typedef {{ altKey: boolean, ctrlKey: boolean, metaKey: boolean, shiftKey: boolean }} Held */
/** @typedef {Held & { key: string, code: string, keyCode: number, location: number, repeat: boolean, isComposing: boolean }} Press */
/** @typedef {{ x: number, y: number }} Place */

const UNKNOWN = 229; // what an input method's key is reported as (UI Events, 8.2.1)
const LINE_PX = 20;
const MULTIPLE_MS = 500;
const MULTIPLE_PX = 6;

/**
 * DevTools' bits. The instance runs on Linux, where Control does what Command does on a Mac.
 * @param {Held} event
 * @param {boolean} onMac
 */
export function modifiers({ altKey, ctrlKey, metaKey, shiftKey }, onMac) {
  const control = ctrlKey || (onMac && metaKey);
  const meta = metaKey && !onMac;
  return (altKey ? 1 : 0) + (control ? 2 : 0) + (meta ? 4 : 0) + (shiftKey ? 8 : 0);
}

/**
 * The act of a key, or null for one that this browser has to take itself: an input method's, a dead
 * key, and the one that pastes.
 * @param {"down" | "up"} kind
 * @param {Press} event
 * @param {boolean} onMac
 */
export function keyAct(kind, event, onMac) {
  const { key, code, keyCode, location, repeat, isComposing } = event;
  if (isComposing || keyCode === UNKNOWN || ["Dead", "Process", "Unidentified"].includes(key)) return null;
  const single = [...key].length === 1;
  const third = single && event.altKey && (onMac || event.ctrlKey); // AltGr, or Option: it writes
  const held = modifiers(event, onMac) & (third ? 8 : 15);
  const commands = (held & 6) !== 0;
  if ((commands && key.toLowerCase() === "v") || (key === "Insert" && held === 8)) return null;
  const name = onMac && key === "Meta" ? "Control" : key;
  const text = single && !commands ? key : key === "Enter" ? "\r" : "";
  return {
    type: "key",
    kind,
    key: name.slice(0, 40),
    code: code.slice(0, 40),
    number: keyCode & 255,
    text: kind === "down" ? text : "",
    location,
    modifiers: held,
    repeats: repeat,
  };
}

/**
 * Where in the instance's page a point of this one is.
 * @param {Place} point
 * @param {{ left: number, top: number, width: number, height: number }} box of the picture here
 * @param {{ width: number, height: number }} size of the instance's page
 * @returns {Place}
 */
export function placeIn(point, box, size) {
  const along = (/** @type {number} */ at, /** @type {number} */ from, /** @type {number} */ length) =>
    Math.min(1, Math.max(0, (at - from) / Math.max(1, length)));
  return {
    x: Math.round(along(point.x, box.left, box.width) * size.width * 10) / 10,
    y: Math.round(along(point.y, box.top, box.height) * size.height * 10) / 10,
  };
}

/**
 * How far a wheel was turned, in pixels.
 * @param {{ deltaX: number, deltaY: number, deltaMode: number }} event
 * @param {number} page_px
 */
export function turned({ deltaX, deltaY, deltaMode }, page_px) {
  const unit = [1, LINE_PX, page_px][deltaMode] ?? 1;
  return { right: deltaX * unit, down: deltaY * unit };
}

/**
 * Which press this is of a double or triple click.
 * @param {{ place: Place, button: number, at_ms: number, clicks: number } | null} last
 * @param {Place} place
 * @param {number} button
 * @param {number} at_ms
 */
export function clicksOf(last, place, button, at_ms) {
  if (last === null || last.button !== button || at_ms - last.at_ms > MULTIPLE_MS) return 1;
  if (Math.hypot(place.x - last.place.x, place.y - last.place.y) > MULTIPLE_PX) return 1;
  return (last.clicks % 3) + 1;
}
