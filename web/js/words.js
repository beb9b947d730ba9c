/** What states are called, how they look, and what a button does. Pure: no DOM, no clock. */

import { age, many } from "./format.js";

/** @typedef {import("./store.js").Child} Child */
/** @typedef {import("./store.js").PaceNow} PaceNow */
/** @typedef {"good" | "busy" | "warn" | "bad" | "idle"} Tone a colour and a shape */
/** @typedef {{ word: string, tone: Tone, note: string }} Standing */

/** @type {Readonly<Record<string, { word: string, tone: Tone }>>} */
export const VERDICTS = {
  well: { word: "Well", tone: "good" },
  starting: { word: "Starting", tone: "busy" },
  degraded: { word: "Degraded", tone: "warn" },
  down: { word: "Down", tone: "bad" },
  stopping: { word: "Stopping", tone: "idle" },
};

/** @type {Readonly<Record<string, { word: string, tone: Tone }>>} */
const PHASES = {
  starting: { word: "starting", tone: "busy" },
  ready: { word: "ready", tone: "good" },
  draining: { word: "draining", tone: "busy" },
  stopping: { word: "stopping", tone: "busy" },
  backoff: { word: "waiting to restart", tone: "warn" },
  failed: { word: "failed", tone: "bad" },
  stopped: { word: "stopped", tone: "idle" },
};

/** @type {Readonly<Record<string, { word: string, tone: Tone }>>} */
export const CONDITIONS = {
  opening: { word: "opening the site", tone: "busy" },
  ready: { word: "ready", tone: "good" },
  resting: { word: "resting", tone: "warn" },
  needs_login: { word: "needs a login", tone: "warn" },
  needs_human: { word: "needs a human", tone: "warn" },
  expired: { word: "session expired", tone: "warn" },
  away: { word: "site away", tone: "bad" },
  outdated: { word: "profile outdated", tone: "bad" },
  broken: { word: "broken", tone: "bad" },
};

/**
 * The word, shape and second line of a child. A child that is ready stands as its session does.
 * @param {Child} child
 * @returns {Standing}
 */
export function standing(child) {
  const session = child.phase === "ready" ? child.condition : null;
  const table = session === null ? PHASES : CONDITIONS;
  const name = session ?? child.phase;
  if (child.spare && session === "ready") return { word: "spare", tone: "good", note: way(child) };
  return { ...(table[name] ?? { word: name, tone: "idle" }), note: note(child, session) };
}

/**
 * True where only a person can help.
 * @param {string | null} condition
 */
export function needsPerson(condition) {
  return condition === "needs_login" || condition === "needs_human";
}

/**
 * @param {Child} child
 * @param {string | null} session
 */
function note(child, session) {
  if (child.next_try_s !== null) return `next try in ${age(child.next_try_s)}`;
  return session === null ? "" : [child.condition_reason, child.asked_last, way(child)].filter(Boolean).join(", ");
}

/** @param {Child} child */
function way(child) {
  return child.proxy ? `through the proxy ${child.proxy}` : "";
}

/**
 * True where no process is left, so that only a start can be asked for.
 * @param {Child} child
 */
export function rests(child) {
  return ["backoff", "failed", "stopped"].includes(child.phase);
}

/**
 * True where draining would change something.
 * @param {Child} child
 */
export function drainable(child) {
  return !["draining", "stopping", "stopped"].includes(child.phase);
}

/**
 * The verb on a row's first button.
 * @param {Child} child
 */
export function startVerb(child) {
  return rests(child) ? "Start" : "Restart";
}

/**
 * What the dialog says before an order goes out.
 * @param {"restart" | "drain"} order
 * @param {Child} child
 * @returns {{ title: string, text: string, verb: string }}
 */
export function consequence(order, child) {
  if (order === "drain") {
    return { title: `Drain ${child.name}?`, text: drainText(child), verb: "Drain" };
  }
  const verb = startVerb(child);
  return { title: `${verb} ${child.name}?`, text: restartText(child), verb };
}

/** @param {Child} child */
function drainText(child) {
  if (rests(child)) return `${child.name} is not tried again and stays stopped until you start it.`;
  return (
    `${child.name} takes no new chats and ${finishing(child)}. ` +
    "Then it stops, and stays stopped until you start it again."
  );
}

/** @param {Child} child */
function restartText(child) {
  if (rests(child)) return `${child.name} starts at once, in a new process.`;
  if (child.role === "frontend") {
    return (
      `${child.name} finishes its open requests, then starts anew in a new process. ` +
      "This page may lose its connection for a moment; it comes back by itself."
    );
  }
  if (child.role !== "worker") return `${child.name} finishes, then starts anew in a new process.`;
  return (
    `${child.name} takes no new chats and ${finishing(child)}. ` +
    "Then its browser closes and a new one starts."
  );
}

/** @param {Child} child */
function finishing(child) {
  if (child.busy === 0) return "has none running";
  return `finishes its ${many(child.busy, "running chat")}`;
}

/**
 * The verdict without the word that begins it: the page shows that word as a heading.
 * @param {{word: string, verdict: string}} state
 */
export function withoutWord(state) {
  const word = `${state.word}: `;
  return state.verdict.startsWith(word) ? state.verdict.slice(word.length) : state.verdict;
}

/**
 * How a site is asked, and what it has refused.
 * @param {PaceNow} pace
 */
export function paceOf(pace) {
  const allowed =
    pace.per_minute === 0
      ? "no limit of pace"
      : `${Math.round(pace.allowed_per_minute)} of ${pace.per_minute} requests/min`;
  const rest = pace.rest_s === null ? "" : `, ${pace.resting} resting, the first for ${age(pace.rest_s)}`;
  const name = pace.template === "" ? "" : `${pace.template}: `;
  return `${name}${allowed}, ${many(pace.refusals, "refusal")}${rest}`;
}
