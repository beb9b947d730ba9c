/** Mouse, touch, keyboard, input methods and paste on the picture, as acts on the instance's page. */

import { clicksOf, keyAct, modifiers, placeIn, turned } from "./keys.js";

/** @typedef {import("./keys.js").Place} Place */

const BUTTONS = /** @type {const} */ (["left", "middle", "right"]);
const DRAG_PX = 8;
const LEAVE_MS = 600;
const LONGEST_TEXT = 64 * 1024;
const ON_MAC = /^(Mac|iP)/.test(navigator.platform);

/**
 * Take everything that is done on the field that lies over the picture.
 * @param {HTMLTextAreaElement} field
 * @param {() => { width: number, height: number }} sizeOf the instance's page
 * @param {(act: object) => void} act
 * @param {(reason: string) => void} refuse
 */
export function takeHands(field, sizeOf, act, refuse) {
  const place = (/** @type {{ clientX: number, clientY: number }} */ event) =>
    placeIn({ x: event.clientX, y: event.clientY }, field.getBoundingClientRect(), sizeOf());
  takePointer(field, place, act);
  takeWheel(field, place, act);
  takeKeys(field, act);
  takeWriting(field, act, refuse);
}

/**
 * Why a text is not taken; empty if it is. Half of a text would look as if it were all.
 * @param {string} text
 */
export function tooLong(text) {
  const length = [...text].length;
  if (length <= LONGEST_TEXT) return "";
  return `${length} characters are over the ${LONGEST_TEXT} that are taken at once; nothing of them was written`;
}

/**
 * A text at once, without half characters.
 * @param {string} text
 */
export function textAct(text) {
  return { type: "text", text: text.replace(/\p{Surrogate}/gu, "\ufffd") };
}

/**
 * At most one of these acts in each frame: the last one.
 * @param {(act: object) => void} act
 */
function onePerFrame(act) {
  /** @type {object | null} */
  let latest = null;
  return (/** @type {object} */ next) => {
    if (latest === null) {
      requestAnimationFrame(() => {
        if (latest !== null) act(latest);
        latest = null;
      });
    }
    latest = next;
  };
}

/**
 * @param {HTMLTextAreaElement} field
 * @param {(event: PointerEvent) => Place} place
 * @param {(act: object) => void} act
 */
function takePointer(field, place, act) {
  const move = onePerFrame(act);
  /** @type {{ place: Place, button: number, at_ms: number, clicks: number } | null} */
  let last = null;
  /** @type {"left" | "middle" | "right" | "none"} */
  let held = "none";
  /** @type {PointerEvent | null} */
  let finger = null;
  let dragged = false;

  function press(/** @type {PointerEvent} */ event, /** @type {"down" | "up"} */ kind) {
    const at = place(event);
    if (kind === "down") {
      const clicks = clicksOf(last, at, event.button, event.timeStamp);
      last = { place: at, button: event.button, at_ms: event.timeStamp, clicks };
    }
    const button = BUTTONS[event.button] ?? "left";
    held = kind === "down" ? button : "none";
    const bits = modifiers(event, ON_MAC);
    act({ type: "mouse", kind, ...at, button, clicks: last?.clicks ?? 1, modifiers: bits });
  }

  field.addEventListener("pointerdown", (event) => {
    field.setPointerCapture(event.pointerId);
    if (event.pointerType === "touch") {
      event.preventDefault(); // no keyboard of the screen for each tap
      if (event.isPrimary) finger = event;
      dragged = false;
      return;
    }
    press(event, "down");
  });
  field.addEventListener("pointermove", (event) => {
    if (event.pointerType !== "touch") {
      move({ type: "mouse", kind: "move", ...place(event), button: held, modifiers: modifiers(event, ON_MAC) });
      return;
    }
    if (finger === null || !event.isPrimary) return;
    const [right, down] = [finger.clientX - event.clientX, finger.clientY - event.clientY];
    if (!dragged && Math.hypot(right, down) < DRAG_PX) return;
    const scale = sizeRatio(field, place);
    act({ type: "wheel", ...place(event), right: right * scale, down: down * scale });
    dragged = true;
    finger = event;
  });
  field.addEventListener("pointerup", (event) => {
    if (event.pointerType !== "touch") {
      press(event, "up");
    } else if (finger !== null && event.isPrimary) {
      if (!dragged) {
        act({ type: "mouse", kind: "move", ...place(event) });
        press(event, "down");
        press(event, "up");
      }
      finger = null;
    }
  });
  field.addEventListener("pointercancel", () => {
    finger = null;
  });
  field.addEventListener("contextmenu", (event) => event.preventDefault());
}

/**
 * Pixels of the instance's page for one of this page.
 * @param {HTMLElement} field
 * @param {(event: PointerEvent) => Place} place
 */
function sizeRatio(field, place) {
  const box = field.getBoundingClientRect();
  const corner = new PointerEvent("pointermove", { clientX: box.right, clientY: box.bottom });
  return place(corner).x / Math.max(1, box.width);
}

/**
 * @param {HTMLElement} field
 * @param {(event: WheelEvent) => Place} place
 * @param {(act: object) => void} act
 */
function takeWheel(field, place, act) {
  let [right, down] = [0, 0];
  const turn = onePerFrame((each) => {
    act({ ...each, right, down });
    [right, down] = [0, 0];
  });
  field.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const far = turned(event, field.clientHeight);
      right += far.right;
      down += far.down;
      turn({ type: "wheel", ...place(event), modifiers: modifiers(event, ON_MAC) });
    },
    { passive: false },
  );
}

/**
 * @param {HTMLElement} field
 * @param {(act: object) => void} act
 */
function takeKeys(field, act) {
  let escaped_ms = -Infinity;
  for (const [name, kind] of /** @type {const} */ ([["keydown", "down"], ["keyup", "up"]])) {
    field.addEventListener(name, (event) => {
      const key = keyAct(kind, event, ON_MAC);
      if (key === null) return;
      event.preventDefault();
      if (event.key === "Escape" && kind === "down" && !event.repeat) {
        if (event.timeStamp - escaped_ms < LEAVE_MS) field.blur();
        escaped_ms = event.timeStamp;
      }
      act(key);
    });
  }
}

/**
 * What comes as text: pasted, composed, or from a keyboard on the screen that tells no keys.
 * @param {HTMLTextAreaElement} field
 * @param {(act: object) => void} act
 * @param {(reason: string) => void} refuse
 */
function takeWriting(field, act, refuse) {
  field.addEventListener("paste", (event) => {
    event.preventDefault();
    const text = event.clipboardData?.getData("text/plain") ?? "";
    const reason = tooLong(text);
    if (reason !== "") refuse(reason);
    else if (text !== "") act(textAct(text));
  });
  field.addEventListener("compositionupdate", ({ data }) => {
    act({ type: "compose", text: data.slice(0, 1000) });
  });
  field.addEventListener("compositionend", ({ data }) => {
    act(textAct(data));
    field.value = "";
  });
  field.addEventListener("input", (event) => {
    const { inputType, data, isComposing } = /** @type {InputEvent} */ (event);
    if (isComposing) return;
    if (inputType === "insertText" && data) act(textAct(data));
    if (inputType === "insertLineBreak") pressOnce("Enter", 13, "\r");
    if (inputType === "deleteContentBackward") pressOnce("Backspace", 8, "");
    field.value = " "; // something to delete, or a keyboard on the screen does not tell of it
  });

  function pressOnce(/** @type {string} */ key, /** @type {number} */ number, /** @type {string} */ text) {
    act({ type: "key", kind: "down", key, code: key, number, text });
    act({ type: "key", kind: "up", key, code: key, number });
  }
}
