import assert from "node:assert/strict";
import { test } from "node:test";

import { outcome } from "../../web/js/actions.js";
import {
  EMPTY,
  OUTCOME_MS,
  reduce,
  SERIES_MS,
  SPEAK_MS,
  STORY_LIMIT,
} from "../../web/js/store.js";

/** A state message, changed as told. */
function said({ rate = 0, ...changes } = {}) {
  const state = {
    word: "well",
    verdict: "All is well.",
    instances_wanted: 2,
    instances_max: 8,
    children: [],
    traffic: { requests_per_s: rate },
    story: [],
    templates: {},
    paces: [],
    ...changes,
  };
  return { type: "state", state };
}

/** The store after a conversation of `[now_ms, message]`. */
function after(...conversation) {
  return conversation.reduce((store, [now_ms, message]) => reduce(store, message, now_ms), EMPTY);
}

/** A store and all in it, made unchangeable: a reducer that writes into it throws. */
function frozen(value) {
  if (value !== null && typeof value === "object") Object.values(value).forEach(frozen);
  return Object.freeze(value);
}

test("a state makes the page live", () => {
  const store = after([50, said()]);
  assert.deepEqual(store.link, { phase: "live", since_ms: 50, reason: "" });
  assert.equal(store.received_ms, 50);
  assert.equal(store.state.verdict, "All is well.");
});

test("a message is never written into the store that it came to", () => {
  const store = frozen(after([0, said({ children: [{ name: "w1" }] })]));
  const messages = [
    said({ children: [{ name: "w2" }, { name: "w1" }] }),
    { type: "gone", reason: "left" },
    { type: "lost" },
    { type: "tick" },
    { type: "draft", instances: 3 },
    { type: "ordered", key: "scale" },
    { type: "settled", key: "scale", outcome: { text: "Done.", failed: false } },
    { type: "dismissed" },
  ];
  for (const message of messages) reduce(store, frozen(message), 99_999);
});

test("an unknown message changes nothing", () => {
  const store = after([0, said()]);
  assert.equal(reduce(store, { type: "weather" }, 5), store);
});

test("children stand in the order in which people count", () => {
  const children = ["w10", "w2", "frontend-1", "w1"].map((name) => ({ name }));
  const names = after([0, said({ children })]).state.children.map(({ name }) => name);
  assert.deepEqual(names, ["frontend-1", "w1", "w2", "w10"]);
});

test("the story begins with the newest, also within one moment, and is bounded", () => {
  const story = Array.from({ length: 300 }, (_, turn) => ({
    at_unix_s: Math.floor(turn / 2),
    about: "w1",
    text: `turn ${turn}`,
  }));
  const shown = after([0, said({ story })]).state.story;
  assert.equal(shown.length, STORY_LIMIT);
  assert.deepEqual(
    shown.slice(0, 3).map(({ text }) => text),
    ["turn 299", "turn 298", "turn 297"],
  );
});

test("a loss is dated from its first news, and a state ends it", () => {
  const store = after([0, said()], [100, { type: "lost" }], [900, { type: "lost" }]);
  assert.deepEqual(store.link, { phase: "lost", since_ms: 100, reason: "" });
  assert.equal(store.state.verdict, "All is well.");
  assert.equal(reduce(store, said(), 1000).link.phase, "live");
});

test("a lost master has its reason", () => {
  const { link } = after([0, said()], [100, { type: "gone", reason: "the link ended" }]);
  assert.deepEqual(link, { phase: "gone", since_ms: 100, reason: "the link ended" });
});

test("the series has one point per second, the newest value of each", () => {
  const { rates } = after(
    [0, said({ rate: 1 })],
    [500, said({ rate: 2 })],
    [1000, said({ rate: 3 })],
    [1999, said({ rate: 4 })],
  );
  assert.deepEqual(rates, [
    { at_ms: 0, value: 2 },
    { at_ms: 1000, value: 4 },
  ]);
});

test("the series never outgrows five minutes", () => {
  let store = EMPTY;
  for (let now_ms = 0; now_ms < 2 * SERIES_MS; now_ms += 700) {
    store = reduce(store, said({ rate: now_ms }), now_ms);
    assert.ok(store.rates.length <= SERIES_MS / 1000);
    assert.ok(store.rates.at(-1).at_ms - store.rates[0].at_ms <= SERIES_MS);
  }
  const late = reduce(store, said({ rate: 1 }), 10 * SERIES_MS);
  assert.deepEqual(late.rates, [{ at_ms: 10 * SERIES_MS, value: 1 }]);
});

test("a clock that is set back does not grow the series", () => {
  const { rates } = after([90_000, said({ rate: 1 })], [0, said({ rate: 2 })]);
  assert.ok(rates.length <= 2);
});

test("a draft is bounded, outlives states, and ends when it is fulfilled or undone", () => {
  const store = after([0, said()], [1, { type: "draft", instances: 99 }], [2, said()]);
  assert.equal(store.draft, 8);
  assert.equal(reduce(store, said({ instances_wanted: 8 }), 3).draft, null);
  assert.equal(reduce(store, { type: "draft", instances: 2 }, 3).draft, null);
  assert.equal(reduce(store, { type: "draft", instances: -4 }, 3).draft, 0);
  assert.equal(reduce(store, { type: "draft", instances: Number.NaN }, 3).draft, 8);
});

test("there is no draft before there is a state", () => {
  assert.equal(after([0, { type: "draft", instances: 3 }]).draft, null);
});

test("an order is pending until it is settled", () => {
  const store = after([0, { type: "ordered", key: "restart w1" }], [1, { type: "ordered", key: "scale" }]);
  assert.deepEqual(store.pending, ["restart w1", "scale"]);
  const settled = { type: "settled", key: "scale", outcome: { text: "Scaling.", failed: false } };
  const { pending, outcome: shown } = reduce(store, settled, 2);
  assert.deepEqual(pending, ["restart w1"]);
  assert.equal(shown.text, "Scaling.");
});

test("a success leaves by itself, a failure when it is dismissed", () => {
  const settle = (failed) => [0, { type: "settled", key: "scale", outcome: { text: "So.", failed } }];
  const tick = [OUTCOME_MS, { type: "tick" }];
  assert.equal(after(settle(false), tick).outcome, null);
  assert.equal(after(settle(true), tick).outcome.text, "So.");
  assert.equal(after(settle(true), tick, [OUTCOME_MS, { type: "dismissed" }]).outcome, null);
});

test("a screen reader hears news at most each ten seconds, and hears the last of it", () => {
  const first = after([0, said()]);
  assert.equal(first.spoken.text, "well: All is well.");
  const second = reduce(first, said({ word: "down", verdict: "All died." }), 1000);
  assert.equal(second.spoken.text, "well: All is well.");
  const third = reduce(second, { type: "lost" }, 2000);
  const later = reduce(third, { type: "tick" }, SPEAK_MS);
  assert.equal(later.spoken.text, "Connection lost, trying again.");
});

test("what has not changed is not spoken again", () => {
  const store = after([0, said()], [60_000, said()]);
  assert.equal(store.spoken.at_ms, 0);
});

test("an answer is told by its text, a refusal by its message, anything else by its status", () => {
  const cases = [
    [200, '{"text":"Scaling."}', { text: "Scaling.", failed: false }],
    [200, "", { text: "Done.", failed: false }],
    [404, '{"error":{"message":"There is no w9."}}', { text: "There is no w9.", failed: true }],
    [502, "<html>", { text: "The server refused with status 502.", failed: true }],
    [500, "null", { text: "The server refused with status 500.", failed: true }],
  ];
  for (const [status, body, expected] of cases) assert.deepEqual(outcome(status, body), expected);
});
