/** The live view's page: pictures in, what a person does out, and how the instance is. */

import { follow } from "./feed.js";
import { takeHands, textAct, tooLong } from "./hands.js";
import { tint, write } from "./rows.js";
import { at } from "./view.js";
import { CONDITIONS, needsPerson } from "./words.js";

/**
 * @typedef {object} Sight what stands beside the picture
 * @property {string} address
 * @property {string} title
 * @property {string} condition
 * @property {string} reason
 * @property {boolean} controls
 * @property {string} locked
 * @property {number} viewers
 */
/** @typedef {{ type: "picture", number: number, width: number, height: number, jpeg: Blob }} Picture */
/** @typedef {{ type: "sight", sight: Sight } | { type: "gone" | "refused", reason: string } | Picture} Message */

const HEAD_BYTES = 8;
const NAME = decodeURIComponent(location.pathname.split("/").at(-1) ?? "");

const canvas = /** @type {HTMLCanvasElement} */ (at("picture"));
const field = /** @type {HTMLTextAreaElement} */ (at("hands"));
const size = { width: 1280, height: 900 };

/** @type {Sight | null} */
let sight = null;
let needed = false;
/** @type {Picture | null} */
let waiting = null;
let drawing = false;

/**
 * @param {string | ArrayBuffer} came
 * @returns {Message | null}
 */
function read(came) {
  if (typeof came !== "string") {
    const head = new DataView(came);
    const jpeg = new Blob([came.slice(HEAD_BYTES)], { type: "image/jpeg" });
    const [width, height] = [head.getUint16(4), head.getUint16(6)];
    return { type: "picture", number: head.getUint32(0), width, height, jpeg };
  }
  try {
    const message = JSON.parse(came);
    return ["sight", "gone", "refused"].includes(message?.type) ? message : null;
  } catch {
    return null;
  }
}

/** @param {Message | { type: "lost" } | { type: "ended", reason: string }} message */
function tell(message) {
  switch (message.type) {
    case "picture":
      waiting = message;
      void draw();
      break;
    case "sight":
      showSight(message.sight);
      break;
    case "refused":
      refuse(message.reason);
      break;
    case "gone":
      showNothing("idle", "not to be seen", `${message.reason}.`);
      break;
    case "lost":
      showNothing("warn", "connection lost", "Trying again.");
      break;
    case "ended":
      showNothing("idle", "closed", `${message.reason}. Load this page anew to go on.`);
  }
}

/** Draw the newest picture, and only then ask for another; a page that nobody sees asks for none. */
async function draw() {
  if (drawing || waiting === null || document.hidden) return;
  drawing = true;
  const picture = waiting;
  waiting = null;
  try {
    const bitmap = await createImageBitmap(picture.jpeg);
    if (canvas.width !== bitmap.width) canvas.width = bitmap.width;
    if (canvas.height !== bitmap.height) canvas.height = bitmap.height;
    canvas.getContext("2d")?.drawImage(bitmap, 0, 0);
    bitmap.close();
    Object.assign(size, { width: picture.width, height: picture.height });
    canvas.dataset.number = String(picture.number);
    document.body.dataset.seen = "yes";
  } catch {
    write(at("said"), "A picture could not be drawn.");
  }
  drawing = false;
  act({ type: "drawn", number: picture.number });
  void draw();
}

/** @param {Sight} now */
function showSight(now) {
  sight = now;
  const known = CONDITIONS[now.condition] ?? { word: now.condition, tone: "idle" };
  tint(at("standing"), known.tone);
  write(at("word"), known.word);
  write(at("reason"), now.condition === "ready" ? "" : now.reason);
  write(at("title"), now.title || "Untitled page");
  write(at("address"), now.address);
  write(at("task"), task(now));
  write(at("locked"), now.locked === "" ? "" : `Only watching: ${now.locked}.`);
  const others = now.viewers - 1;
  write(at("others"), others > 0 ? `${others} more ${others === 1 ? "person looks" : "people look"} on.` : "");
  at("take").hidden = now.controls;
  at("task").dataset.tone = needsPerson(now.condition) ? "warn" : "good";
  document.body.dataset.locked = now.locked === "" ? "no" : "yes";
  for (const id of ["back", "reload", "write"]) {
    at(id).setAttribute("aria-disabled", String(now.locked !== ""));
  }
}

/**
 * What the person is to do; once it was something, that it is done.
 * @param {Sight} now
 */
function task(now) {
  if (needsPerson(now.condition)) {
    needed = true;
    const wanted = now.condition === "needs_login" ? "log in" : "do what the site asks of a person";
    return `Please ${wanted} in the picture below. ${NAME} goes on by itself as soon as it can.`;
  }
  if (!needed || now.condition !== "ready") return "";
  return `Done: ${NAME} is ready again. This page can be closed.`;
}

/**
 * @param {import("./words.js").Tone} tone
 * @param {string} word
 * @param {string} reason
 */
function showNothing(tone, word, reason) {
  sight = null;
  waiting = null;
  tint(at("standing"), tone);
  write(at("word"), word);
  write(at("reason"), reason);
  write(at("locked"), "");
  document.body.dataset.locked = "yes";
}

const send = follow(`/gui/view/${encodeURIComponent(NAME)}/ws`, read, tell);

/** @param {object} what */
function act(what) {
  send(JSON.stringify(what));
}

/** @param {object} what a person's act, unless the page is only shown now */
function perform(what) {
  if (sight === null || sight.locked !== "") return;
  write(at("said"), "");
  act(what);
}

/** @param {string} reason */
function refuse(reason) {
  write(at("said"), `Not done: ${reason}.`);
}

at("back").addEventListener("click", () => perform({ type: "go", to: "back" }));
at("reload").addEventListener("click", () => perform({ type: "go", to: "reload" }));
at("take").addEventListener("click", () => act({ type: "take" }));
at("keyboard").addEventListener("click", () => field.focus());
at("paste").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = /** @type {HTMLTextAreaElement} */ (at("paste-text"));
  if (text.value === "" || sight === null || sight.locked !== "") return;
  const reason = tooLong(text.value);
  if (reason !== "") {
    refuse(reason);
    return;
  }
  perform(textAct(text.value));
  text.value = "";
});
document.addEventListener("visibilitychange", () => void draw());
takeHands(field, () => size, perform, refuse);
for (const name of document.querySelectorAll('[data-part="name"]')) write(name, NAME);
document.title = `${NAME}, live · arenad`;
