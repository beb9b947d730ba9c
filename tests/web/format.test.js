import assert from "node:assert/strict";
import { test } from "node:test";

import { ceiling, peak, trace } from "../../web/js/chart.js";
import * as format from "../../web/js/format.js";
import { consequence, drainable, standing } from "../../web/js/words.js";

/** A table of inputs and outputs. */
function same(convert, rows) {
  for (const [input, output] of rows) assert.equal(convert(input), output);
}

test("an age shows its two leading units", () => {
  same(format.age, [
    [-3, "0 s"],
    [0, "0 s"],
    [59.9, "59 s"],
    [60, "1 min"],
    [200, "3 min 20 s"],
    [3600, "1 h"],
    [7500, "2 h 5 min"],
    [4 * 86400 + 3 * 3600 + 59, "4 d 3 h"],
  ]);
});

test("memory is whole MiB with thousands apart", () => {
  same(format.mebibytes, [
    [0, "0 MiB"],
    [412 * 1024 * 1024, "412 MiB"],
    [1536 * 1024 * 1024, "1,536 MiB"],
  ]);
});

test("a total stays short enough for its tile", () => {
  same(format.total, [
    [0, "0"],
    [99_999, "99,999"],
    [123_456, "123K"],
    [1_234_567, "1.23M"],
  ]);
});

test("a rate loses digits as it grows", () => {
  same(format.rate, [
    [0, "0.00"],
    [0.333, "0.33"],
    [9.994, "9.99"],
    [12.34, "12.3"],
    [1234.5, "1,235"],
  ]);
});

test("percent and plural", () => {
  same(format.percent, [
    [1.24, "1.2 %"],
    [31.4, "31 %"],
    [104, "104 %"],
  ]);
  same((value) => format.many(value, "chat"), [
    [0, "0 chats"],
    [1, "1 chat"],
    [2000, "2,000 chats"],
  ]);
});

test("a share stays between nothing and all", () => {
  assert.equal(format.share(1, 2), 0.5);
  assert.equal(format.share(3, 2), 1);
  assert.equal(format.share(-1, 2), 0);
  assert.equal(format.share(0, 0), 0);
  assert.equal(format.share(1, Number.NaN), 0);
});

test("a moment of another day carries its date", () => {
  const then = new Date(2026, 0, 31, 9, 5, 7);
  const unix_s = then.getTime() / 1000;
  assert.equal(format.moment(unix_s, then.getTime() + 1000), "09:05:07");
  assert.equal(format.moment(unix_s, then.getTime() + 86_400_000), "31 Jan, 09:05:07");
});

test("midnight is hour zero", () => {
  const then = new Date(2026, 0, 31, 0, 0, 1);
  assert.equal(format.moment(then.getTime() / 1000, then.getTime()), "00:00:01");
});

test("a chart's top is a round number at or above the peak", () => {
  same(ceiling, [
    [0, 1],
    [0.03, 0.03],
    [0.9, 1],
    [1, 1],
    [2.9, 3],
    [8, 10],
    [1234, 1500],
  ]);
  assert.equal(peak([]), 0);
  assert.equal(peak([{ at_ms: 0, value: 2 }, { at_ms: 1, value: 1 }]), 2);
});

test("a chart runs from the left edge to the right one", () => {
  const points = [0, 5000, 10_000].map((at_ms) => ({ at_ms, value: 1 }));
  const { line, area } = trace(points, 10_000, 10_000);
  assert.equal(line, "M0.0 2.0L150.0 2.0L300.0 2.0");
  assert.equal(area, "M0.0 48L0.0 2.0L150.0 2.0L300.0 2.0L300.0 48Z");
});

test("a chart has no line where nothing was heard", () => {
  const points = [0, 1000, 60_000].map((at_ms) => ({ at_ms, value: 0 }));
  const { line } = trace(points, 60_000, 300_000);
  assert.equal(line.match(/M/g).length, 2);
  assert.ok(line.endsWith("h0.1"), "a lone point is still seen");
  assert.deepEqual(trace([], 0, 300_000), { line: "", area: "" });
});

const CHILD = {
  name: "w1",
  role: "worker",
  phase: "ready",
  condition: "ready",
  condition_reason: "",
  next_try_s: null,
  busy: 0,
};

test("a ready child stands as its session does, any other by its phase", () => {
  assert.deepEqual(standing(CHILD), { word: "ready", tone: "good", note: "" });
  const human = { ...CHILD, condition: "needs_human", condition_reason: "a check is shown" };
  assert.deepEqual(standing(human), {
    word: "needs a human",
    tone: "warn",
    note: "a check is shown",
  });
  assert.equal(standing({ ...human, phase: "draining" }).word, "draining");
  const far = { ...human, proxy: "lisbon" };
  assert.equal(standing(far).note, "a check is shown, through the proxy lisbon");
  assert.equal(standing({ ...far, spare: true, condition: "ready" }).note, "through the proxy lisbon");
  const shunned = { ...far, condition: "ready", condition_reason: "", asked_last: "asked last: why" };
  assert.equal(standing(shunned).note, "asked last: why, through the proxy lisbon");
  assert.equal(standing({ ...CHILD, spare: true }).word, "spare");
  assert.equal(standing({ ...CHILD, phase: "backoff", next_try_s: 12 }).note, "next try in 12 s");
  assert.equal(standing({ ...CHILD, role: "frontend", condition: null }).word, "ready");
});

test("a word that the page does not know yet is shown as it stands", () => {
  assert.deepEqual(standing({ ...CHILD, phase: "molting" }), {
    word: "molting",
    tone: "idle",
    note: "",
  });
});

test("a dialog says what an order does to this very child", () => {
  assert.match(consequence("drain", { ...CHILD, busy: 2 }).text, /finishes its 2 running chats/);
  assert.match(consequence("restart", CHILD).text, /has none running/);
  assert.equal(consequence("restart", { ...CHILD, phase: "stopped" }).title, "Start w1?");
  assert.match(consequence("drain", { ...CHILD, phase: "backoff" }).text, /not tried again/);
  assert.match(consequence("restart", { ...CHILD, role: "frontend" }).text, /comes back by itself/);
});

test("what is on its way out is not drained again", () => {
  const phases = ["starting", "ready", "backoff", "failed", "draining", "stopping", "stopped"];
  const open = phases.filter((phase) => drainable({ ...CHILD, phase }));
  assert.deepEqual(open, ["starting", "ready", "backoff", "failed"]);
});
