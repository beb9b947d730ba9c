import assert from "node:assert/strict";
import { test } from "node:test";

import { found, kind, operations, rows, sentence } from "../../web/js/shapes.js";

/** Pieces as one text. */
const text = (pieces) => pieces.map((piece) => piece.text).join("");

test("what stands between backticks is code", () => {
  assert.deepEqual(sentence("a `b` c"), [
    { text: "a " },
    { text: "b", code: true },
    { text: " c" },
  ]);
  assert.deepEqual(sentence(""), []);
});

test("a kind is told in words", () => {
  const named = [
    [{}, "anything"],
    [{ type: "string" }, "string"],
    [{ type: "string", minLength: 1, maxLength: 9 }, "string, at least 1, at most 9"],
    [{ type: "integer", minimum: 0 }, "integer, at least 0"],
    [{ enum: ["a", null] }, '"a" or null'],
    [{ const: false }, "false"],
    [{ type: "object" }, "object"],
    [{ type: "array", maxItems: 0 }, "empty list"],
    [{ type: "array" }, "list of anything"],
    [{ anyOf: [{ type: "array", items: { type: "string" } }, { type: "null" }] }, "list of string or null"],
  ];
  for (const [schema, words] of named) assert.equal(text(kind(schema)), words);
});

test("what has a shape of its own is a link to it", () => {
  const schema = { anyOf: [{ $ref: "#/components/schemas/Usage" }, { type: "null" }] };
  assert.deepEqual(kind(schema)[0], { text: "Usage", to: "shape-Usage" });
});

const DOCUMENT = {
  paths: {
    "/a/{id}": {
      get: {
        operationId: "a",
        summary: "An a.",
        description: "One `a`.",
        parameters: [{ $ref: "#/components/parameters/id" }],
        responses: { 200: { $ref: "#/components/responses/Fine" }, 304: { description: "Known." } },
      },
      head: { operationId: "a_head", parameters: [], responses: {} },
    },
    "/b": {
      post: {
        operationId: "b",
        summary: "A b.",
        description: "",
        parameters: [],
        requestBody: { content: { "application/json": { schema: { type: "object" } } } },
        responses: {},
      },
    },
  },
  components: {
    parameters: { id: { name: "id", in: "path", description: "Its name.", schema: { type: "string" } } },
    responses: {
      Fine: {
        description: "`fine`",
        headers: { "x-request-id": {} },
        content: {
          "image/*": {},
          "application/json": { schema: { type: "object" } },
          "text/event-stream": {
            "x-event-schema": { type: "string" },
            "x-ends-with": "`b`; no more",
          },
        },
      },
    },
  },
};

test("a reference leads to what it names", () => {
  assert.equal(found(DOCUMENT, { $ref: "#/components/parameters/id" }).in, "path");
  assert.deepEqual(found(DOCUMENT, { type: "string" }), { type: "string" });
});

test("operations are told in their order, and HEAD is not", () => {
  const [first, second, ...more] = operations(DOCUMENT);
  assert.deepEqual(more, []);
  assert.deepEqual([first.method, first.path, first.title], ["GET", "/a/{id}", "An a."]);
  assert.deepEqual([first.sent[0].name, first.sent[0].place], ["id", "path"]);
  const [fine, known] = first.answered;
  assert.equal(
    text(fine.kind),
    "image/*; application/json: object; text/event-stream, events: string; ends with b; no more",
  );
  assert.deepEqual([fine.status, fine.headers, text(fine.says)], ["200", ["x-request-id"], "fine"]);
  assert.deepEqual([known.status, known.kind], ["304", []]);
  assert.deepEqual([second.sent[0].name, second.sent[0].place], ["body", "application/json"]);
});

test("fields that must be there say so", () => {
  const schema = {
    properties: { a: { type: "string", description: "ignored: `x`" }, b: {} },
    required: ["a"],
  };
  const [a, b] = rows(schema);
  assert.deepEqual([a.name, text(a.kind), text(a.says)], ["a", "string, required", "ignored: x"]);
  assert.deepEqual([b.name, text(b.kind), b.says], ["b", "anything", []]);
  assert.deepEqual(rows({}), []);
});
