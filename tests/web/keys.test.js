/** Keys, places and wheels, as the instance's page is told of them. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { clicksOf, keyAct, modifiers, placeIn, turned } from "../../web/js/keys.js";

const PRESS = {
  key: "a",
  code: "KeyA",
  keyCode: 65,
  location: 0,
  repeat: false,
  isComposing: false,
  altKey: false,
  ctrlKey: false,
  metaKey: false,
  shiftKey: false,
};

/** @param {object} changes */
function down(changes, onMac = false) {
  return keyAct("down", { ...PRESS, ...changes }, onMac);
}

test("a letter writes itself, and its release nothing", () => {
  assert.deepEqual(down({ shiftKey: true, key: "A" }), {
    type: "key",
    kind: "down",
    key: "A",
    code: "KeyA",
    number: 65,
    text: "A",
    location: 0,
    modifiers: 8,
    repeats: false,
  });
  assert.equal(keyAct("up", PRESS, false)?.text, "");
});

test("Enter writes a line end, other named keys nothing", () => {
  assert.equal(down({ key: "Enter", keyCode: 13 })?.text, "\r");
  assert.equal(down({ key: "Tab", keyCode: 9 })?.text, "");
});

test("a command writes nothing; on a Mac, Command is Control", () => {
  assert.deepEqual([down({ ctrlKey: true })?.text, down({ ctrlKey: true })?.modifiers], ["", 2]);
  assert.deepEqual([down({ metaKey: true }, true)?.text, down({ metaKey: true }, true)?.modifiers], ["", 2]);
  assert.equal(modifiers({ ...PRESS, metaKey: true }, false), 4);
  assert.equal(down({ key: "Meta", metaKey: true }, true)?.key, "Control");
});

test("AltGr and Option write the third character of a key", () => {
  const at = down({ key: "@", ctrlKey: true, altKey: true });
  assert.deepEqual([at?.text, at?.modifiers], ["@", 0]);
  const option = down({ key: "å", altKey: true }, true);
  assert.deepEqual([option?.text, option?.modifiers], ["å", 0]);
});

test("input methods, dead keys and pasting are this browser's own", () => {
  for (const changes of [
    { keyCode: 229 },
    { isComposing: true },
    { key: "Dead" },
    { key: "v", ctrlKey: true },
    { key: "V", ctrlKey: true, shiftKey: true },
    { key: "Insert", shiftKey: true },
  ]) {
    assert.equal(down(changes), null, JSON.stringify(changes));
  }
});

test("a point of the picture is a place in the page, never outside of it", () => {
  const box = { left: 10, top: 20, width: 640, height: 450 };
  const size = { width: 1280, height: 900 };
  assert.deepEqual(placeIn({ x: 330, y: 245 }, box, size), { x: 640, y: 450 });
  assert.deepEqual(placeIn({ x: -5, y: 9999 }, box, size), { x: 0, y: 900 });
  assert.deepEqual(placeIn({ x: 5, y: 5 }, { left: 0, top: 0, width: 0, height: 0 }, size), { x: 1280, y: 900 });
});

test("a wheel turns pixels, lines or pages", () => {
  assert.deepEqual(turned({ deltaX: 1, deltaY: 2, deltaMode: 0 }, 500), { right: 1, down: 2 });
  assert.deepEqual(turned({ deltaX: 0, deltaY: 3, deltaMode: 1 }, 500), { right: 0, down: 60 });
  assert.deepEqual(turned({ deltaX: 0, deltaY: -1, deltaMode: 2 }, 500), { right: 0, down: -500 });
});

test("clicks count while they are quick, near, and of one button", () => {
  const last = { place: { x: 5, y: 5 }, button: 0, at_ms: 1000, clicks: 1 };
  assert.equal(clicksOf(null, { x: 5, y: 5 }, 0, 1000), 1);
  assert.equal(clicksOf(last, { x: 7, y: 5 }, 0, 1300), 2);
  assert.equal(clicksOf({ ...last, clicks: 3 }, { x: 5, y: 5 }, 0, 1300), 1);
  assert.equal(clicksOf(last, { x: 50, y: 5 }, 0, 1300), 1);
  assert.equal(clicksOf(last, { x: 5, y: 5 }, 2, 1300), 1);
  assert.equal(clicksOf(last, { x: 5, y: 5 }, 0, 1600), 1);
});
