/** Everything the page shows, written from the store. */

import { HEIGHT, peak, trace, WIDTH } from "./chart.js";
import { age, count, many, moment, rate, total } from "./format.js";
import { fillHappening, fillInstance, fillProcess, keep, tint, write } from "./rows.js";
import { SERIES_MS } from "./store.js";
import { VERDICTS, paceOf, standing, withoutWord } from "./words.js";

/** @typedef {import("./store.js").Store} Store */
/** @typedef {import("./store.js").State} State */

/**
 * The element with this id; a page without it is broken, and says so.
 * @param {string} id
 * @returns {HTMLElement}
 */
export function at(id) {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no element ${id}`);
  return found;
}

/**
 * @param {Store} store
 * @param {number} now_ms
 */
export function show(store, now_ms) {
  document.body.dataset.link = store.link.phase;
  showLink(store, now_ms);
  showVerdict(store, now_ms);
  write(at("spoken"), store.spoken.text);
  showOutcome(store);
  if (store.state === null) return;
  showPlace(store.state);
  showTiles(store, store.state);
  showScale(store, store.state);
  showInstances(store, store.state);
  showOthers(store, store.state);
  showStory(store.state, now_ms);
}

/**
 * How old is what the page shows?
 * @param {Store} store
 * @param {number} now_ms
 */
function showLink({ link }, now_ms) {
  const since = age((now_ms - link.since_ms) / 1000);
  const { tone, text } = {
    connecting: { tone: /** @type {const} */ ("busy"), text: "connecting" },
    live: { tone: /** @type {const} */ ("good"), text: "live" },
    lost: {
      tone: /** @type {const} */ ("warn"),
      text: `connection lost ${since} ago, trying again`,
    },
    gone: { tone: /** @type {const} */ ("bad"), text: `no word from the master for ${since}` },
  }[link.phase];
  tint(at("link"), tone);
  write(at("link-text"), text);
}

/**
 * @param {Store} store
 * @param {number} now_ms
 */
function showVerdict({ link, state, received_ms }, now_ms) {
  const live = link.phase === "live";
  const known = state === null ? null : (VERDICTS[state.word] ?? { word: state.word, tone: "idle" });
  const word = known?.word ?? (link.phase === "lost" ? "No connection" : "Connecting");
  const when = received_ms === null ? "Not known yet" : `Last known, ${moment(received_ms / 1000, now_ms)}`;
  tint(at("verdict"), live && known !== null ? known.tone : "idle");
  write(at("verdict-when"), live ? "Now" : when);
  write(at("verdict-word"), word);
  write(at("verdict-sentence"), sentence(link, state));
  const title = live || link.phase === "connecting" ? word : "Connection lost";
  const full = `${title} · arenad`;
  if (document.title !== full) document.title = full;
}

/**
 * @param {Store["link"]} link
 * @param {State | null} state
 */
function sentence(link, state) {
  if (link.phase === "gone" && link.reason !== "") return link.reason;
  if (state !== null) return withoutWord(state);
  return link.phase === "lost" ? "The dashboard's server does not answer." : "Asking for the state.";
}

/** @param {State} state */
function showPlace(state) {
  write(at("version"), state.version);
  write(at("site"), [state.site, ...state.paces.map(paceOf)].join("; "));
  write(at("api-url"), state.api_url);
  write(at("gui-url"), state.gui_url);
  write(at("uptime"), age(state.uptime_s));
}

/** @param {State} state */
function workers(state) {
  return state.children.filter((child) => child.role === "worker");
}

/**
 * @param {Store} store
 * @param {State} state
 */
function showTiles(store, state) {
  const { traffic } = state;
  const members = workers(state).filter((child) => !child.spare);
  const usable = members.filter((child) => standing(child).tone === "good");
  const free = usable.reduce((sum, child) => sum + Math.max(0, child.slots - child.busy), 0);
  write(at("ready"), count(usable.length));
  const others = Object.values(state.templates).reduce((sum, wanted) => sum + wanted, 0);
  write(at("ready-of"), `of ${count(state.instances_wanted + others)}`);
  write(at("running"), count(traffic.running));
  write(at("running-free"), free === 0 ? "no slot free" : `${many(free, "slot")} free`);
  write(at("queued"), count(traffic.queued));
  write(at("queued-of"), `of ${count(traffic.queue_limit)}`);
  write(at("answered"), total(traffic.answered));
  write(at("failed"), total(traffic.failed));
  write(at("retried"), total(traffic.retried));
  write(at("rate"), rate(traffic.requests_per_s));
  write(at("rate-peak"), `peak seen ${rate(peak(store.rates))}`);
  const { line, area } = trace(store.rates, store.rates.at(-1)?.at_ms ?? 0, SERIES_MS);
  at("rate-chart").setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  at("rate-line").setAttribute("d", line);
  at("rate-area").setAttribute("d", area);
}

/**
 * @param {Store} store
 * @param {State} state
 */
function showScale(store, state) {
  const field = /** @type {HTMLInputElement} */ (at("scale-count"));
  const aim = store.draft ?? state.instances_wanted;
  field.max = String(state.instances_max);
  if (document.activeElement !== field && field.value !== String(aim)) field.value = String(aim);
  disable(at("scale-less"), aim <= 0);
  disable(at("scale-more"), aim >= state.instances_max);
  const busy = store.pending.includes("scale");
  disable(at("scale-apply"), busy || store.draft === null);
  at("scale-apply").setAttribute("aria-busy", String(busy));
  const change = store.draft === null ? "" : `${state.instances_wanted} → ${store.draft}`;
  write(at("scale-change"), change);
}

/**
 * @param {HTMLElement} button
 * @param {boolean} disabled
 */
function disable(button, disabled) {
  button.setAttribute("aria-disabled", String(disabled));
}

/**
 * @param {Store} store
 * @param {State} state
 */
function showInstances(store, state) {
  const all = workers(state);
  const largest_bytes = all.reduce((most, child) => Math.max(most, child.memory_bytes), 0);
  at("instances-box").hidden = all.length === 0;
  at("instances-none").hidden = all.length > 0 || state.instances_wanted > 0;
  at("instances-soon").hidden = all.length > 0 || state.instances_wanted === 0;
  keep(at("instances"), template("instance"), all, name, (row, child) => {
    fillInstance(row, child, { largest_bytes, pending: store.pending });
  });
}

/**
 * @param {Store} store
 * @param {State} state
 */
function showOthers(store, state) {
  const all = state.children.filter((child) => child.role !== "worker");
  at("others-box").hidden = all.length === 0;
  at("others-none").hidden = all.length > 0;
  keep(at("others"), template("other"), all, name, (row, child) => {
    fillProcess(row, child, store.pending);
  });
}

/**
 * @param {State} state
 * @param {number} now_ms
 */
function showStory(state, now_ms) {
  at("story-box").hidden = state.story.length === 0;
  at("story-none").hidden = state.story.length > 0;
  const key = (/** @type {import("./store.js").Happening} */ { at_unix_s, about, text }) =>
    `${at_unix_s} ${about} ${text}`;
  keep(at("story"), template("happening"), state.story, key, (line, happening) => {
    fillHappening(line, happening, now_ms);
  });
}

/** @param {{ name: string }} child */
function name(child) {
  return child.name;
}

/**
 * @param {string} id
 * @returns {HTMLTemplateElement}
 */
function template(id) {
  return /** @type {HTMLTemplateElement} */ (at(`template-${id}`));
}

/** @param {Store} store */
function showOutcome({ outcome }) {
  at("outcome").hidden = outcome === null;
  if (outcome === null) return;
  tint(at("outcome"), outcome.failed ? "bad" : "good");
  write(at("outcome-text"), outcome.text);
}
