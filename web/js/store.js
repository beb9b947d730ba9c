/**
 * The brain of the page: what is known, and how a message changes it.
 * Pure: no DOM, no clock, no randomness. Every list in it has a bound.
 */

import { withoutWord } from "./words.js";

/**
 * @typedef {object} Child one supervised process; fields as in `arenad/schema/control.py`
 * @property {string} name
 * @property {string} role frontend, worker, recorder or demo
 * @property {string} phase
 * @property {number} generation
 * @property {number} pid
 * @property {number} phase_age_s
 * @property {number} restarts
 * @property {string} last_death
 * @property {number | null} next_try_s
 * @property {string | null} condition
 * @property {string} condition_reason
 * @property {number} slots
 * @property {number} busy
 * @property {number} answered
 * @property {number} failed
 * @property {number} memory_bytes
 * @property {number} processes
 * @property {number} cpu_percent
 * @property {number} descriptors open ones, of its processes that let us look
 * @property {string} [proxy] the name of that through which it reaches its site
 * @property {string} [asked_last] why others are asked before it
 * @property {boolean} [spare] ready, but asked by nobody until it is needed
 */

/**
 * @typedef {object} Traffic
 * @property {number} queued
 * @property {number} queue_limit
 * @property {number} running
 * @property {number} accepted
 * @property {number} answered
 * @property {number} failed
 * @property {number} retried
 * @property {number} cancelled
 * @property {number} requests_per_s
 */

/** @typedef {{ at_unix_s: number, about: string, text: string }} Happening */

/**
 * @typedef {object} State
 * @property {string} word well, starting, degraded, down or stopping
 * @property {string} verdict
 * @property {string} version
 * @property {number} pid
 * @property {number} uptime_s
 * @property {string} site
 * @property {string} api_url
 * @property {string} gui_url
 * @property {number} instances_wanted
 * @property {number} instances_max
 * @property {readonly Child[]} children
 * @property {Traffic} traffic
 * @property {readonly Happening[]} story
 * @property {Readonly<Record<string, number>>} templates
 * @property {readonly PaceNow[]} paces
 */

/**
 * @typedef {object} PaceNow
 * @property {string} template
 * @property {number} per_minute
 * @property {number} allowed_per_minute
 * @property {number} spacing_s
 * @property {number} refusals
 * @property {number} resting
 * @property {number | null} rest_s
 */

/** @typedef {{ at_ms: number, value: number }} Point */
/** @typedef {{ text: string, failed: boolean }} Outcome what an order led to */
/** @typedef {"connecting" | "live" | "lost" | "gone"} LinkPhase */

/**
 * @typedef {object} Store
 * @property {{ phase: LinkPhase, since_ms: number, reason: string }} link
 * @property {State | null} state
 * @property {number | null} received_ms when `state` came
 * @property {readonly Point[]} rates requests per second of the last minutes, oldest first
 * @property {number | null} draft instances that the operator is about to ask for
 * @property {readonly string[]} pending keys of orders under way
 * @property {(Outcome & { at_ms: number }) | null} outcome of the last order
 * @property {{ text: string, at_ms: number }} spoken what a screen reader was told last
 */

/**
 * @typedef {| { type: "state", state: State }
 *   | { type: "gone", reason: string }
 *   | { type: "lost" }
 *   | { type: "tick" }
 *   | { type: "draft", instances: number }
 *   | { type: "ordered", key: string }
 *   | { type: "settled", key: string, outcome: Outcome }
 *   | { type: "dismissed" }} Note
 */

export const SERIES_MS = 5 * 60 * 1000;
export const POINT_MS = 1000;
export const STORY_LIMIT = 100;
export const SPEAK_MS = 10 * 1000;
export const OUTCOME_MS = 12 * 1000;

/** @type {Readonly<Store>} */
export const EMPTY = Object.freeze({
  link: Object.freeze({ phase: "connecting", since_ms: 0, reason: "" }),
  state: null,
  received_ms: null,
  rates: [],
  draft: null,
  pending: [],
  outcome: null,
  spoken: { text: "", at_ms: -SPEAK_MS },
});

/**
 * The store after a message. A message of an unknown type changes nothing.
 * @param {Store} store
 * @param {Note} message
 * @param {number} now_ms
 * @returns {Store}
 */
export function reduce(store, message, now_ms) {
  return speak(apply(store, message, now_ms), now_ms);
}

/**
 * @param {Store} store
 * @param {Note} message
 * @param {number} now_ms
 * @returns {Store}
 */
function apply(store, message, now_ms) {
  switch (message.type) {
    case "state":
      return receive(store, message.state, now_ms);
    case "gone":
      return unlink(store, "gone", message.reason, now_ms);
    case "lost":
      return unlink(store, "lost", "", now_ms);
    case "draft":
      return draft(store, message.instances);
    case "ordered":
      return { ...store, pending: [...without(store.pending, message.key), message.key] };
    case "settled":
      return settle(store, message.key, { ...message.outcome, at_ms: now_ms });
    case "tick":
      return tidy(store, now_ms);
    case "dismissed":
      return { ...store, outcome: null };
    default:
      return store;
  }
}

/**
 * @param {Store} store
 * @param {State} state
 * @param {number} now_ms
 * @returns {Store}
 */
function receive(store, state, now_ms) {
  const since_ms = store.link.phase === "live" ? store.link.since_ms : now_ms;
  return {
    ...store,
    link: { phase: "live", since_ms, reason: "" },
    state: ordered(state),
    received_ms: now_ms,
    rates: lengthen(store.rates, { at_ms: now_ms, value: state.traffic.requests_per_s }),
    draft: store.draft === state.instances_wanted ? null : store.draft,
  };
}

/**
 * The state in the order it is shown in: names as people count, the newest happening first.
 * @param {State} state
 * @returns {State}
 */
function ordered(state) {
  const compare = new Intl.Collator("en", { numeric: true }).compare;
  return {
    ...state,
    children: state.children.toSorted((one, other) => compare(one.name, other.name)),
    story: state.story
      .toReversed()
      .toSorted((one, other) => other.at_unix_s - one.at_unix_s)
      .slice(0, STORY_LIMIT),
  };
}

/**
 * The series with one more point: at most one per second, none older than five minutes.
 * @param {readonly Point[]} series
 * @param {Point} point
 * @returns {readonly Point[]}
 */
function lengthen(series, point) {
  const last = series.at(-1);
  const kept = last && point.at_ms - last.at_ms < POINT_MS ? series.slice(0, -1) : series;
  const at_ms = kept === series ? point.at_ms : (last?.at_ms ?? point.at_ms);
  const grown = [...kept, { at_ms, value: point.value }];
  return grown.filter((each) => point.at_ms - each.at_ms <= SERIES_MS).slice(-SERIES_MS / POINT_MS);
}

/**
 * The first loss counts: later ones of the same kind do not move `since_ms`.
 * @param {Store} store
 * @param {"lost" | "gone"} phase
 * @param {string} reason
 * @param {number} now_ms
 * @returns {Store}
 */
function unlink(store, phase, reason, now_ms) {
  const same = store.link.phase === phase && store.link.reason === reason;
  return same ? store : { ...store, link: { phase, since_ms: now_ms, reason } };
}

/**
 * @param {Store} store
 * @param {number} instances
 * @returns {Store}
 */
function draft(store, instances) {
  if (store.state === null || !Number.isFinite(instances)) return store;
  const bounded = Math.min(store.state.instances_max, Math.max(0, Math.round(instances)));
  return { ...store, draft: bounded === store.state.instances_wanted ? null : bounded };
}

/**
 * @param {Store} store
 * @param {string} key
 * @param {Outcome & { at_ms: number }} outcome
 * @returns {Store}
 */
function settle(store, key, outcome) {
  return { ...store, pending: without(store.pending, key), outcome };
}

/**
 * A success leaves by itself, for the story tells it too; a failure stays until it is dismissed.
 * @param {Store} store
 * @param {number} now_ms
 * @returns {Store}
 */
function tidy(store, now_ms) {
  const { outcome } = store;
  const done = outcome !== null && !outcome.failed && now_ms - outcome.at_ms >= OUTCOME_MS;
  return done ? { ...store, outcome: null } : store;
}

/**
 * @param {readonly string[]} keys
 * @param {string} key
 */
function without(keys, key) {
  return keys.filter((each) => each !== key);
}

/**
 * The sentence for screen readers: new only when it differs, and at most each ten seconds.
 * @param {Store} store
 * @param {number} now_ms
 * @returns {Store}
 */
function speak(store, now_ms) {
  const text = sentence(store);
  if (text === store.spoken.text || now_ms - store.spoken.at_ms < SPEAK_MS) return store;
  return { ...store, spoken: { text, at_ms: now_ms } };
}

/** @param {Store} store */
function sentence(store) {
  if (store.link.phase === "lost") return "Connection lost, trying again.";
  if (store.link.phase === "gone") return `The daemon does not answer: ${store.link.reason}`;
  return store.state === null ? "" : `${store.state.word}: ${withoutWord(store.state)}`;
}
