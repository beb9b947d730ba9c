// OpenAI's own client for JavaScript, with what its documentation shows.

import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

const ECHO = "demo-echo";
const OBEDIENT = process.env.OBEDIENT_MODEL;
const TEXT = 'Grüße, 汉字, 👩‍👩‍👧‍👦, "quoted"\n\n```python\nprint(1)\n```\nand data: [DONE]';
const PIXEL =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const ASK_ADD = "What is 3 plus 4? Use the tool add.";
const PARAMETERS = {
  type: "object",
  properties: { a: { type: "integer" }, b: { type: "integer" } },
  required: ["a", "b"],
};
const ADD = { type: "function", function: { name: "add", description: "Adds.", parameters: PARAMETERS } };
const Person = z.object({ name: z.string(), age: z.number() });

const client = new OpenAI({
  baseURL: `${process.env.ARENAD_URL}/v1`,
  apiKey: "none",
  maxRetries: 0,
  timeout: 90_000,
});
const user = (content) => [{ role: "user", content }];

test("models", async () => {
  const ids = [];
  for await (const model of client.models.list()) ids.push(model.id);
  assert(ids.includes(ECHO));
  assert.equal((await client.models.retrieve(ECHO)).object, "model");
});

test("chat", async () => {
  const answer = await client.chat.completions.create({ model: ECHO, messages: user(TEXT) });
  assert.equal(answer.choices[0].message.content, TEXT);
  assert.equal(answer.choices[0].finish_reason, "stop");
  assert(answer.usage.total_tokens > 0);
  assert(answer._request_id);
});

test("chat streamed", async () => {
  const stream = await client.chat.completions.create({
    model: ECHO,
    messages: user(TEXT),
    stream: true,
    stream_options: { include_usage: true },
  });
  let text = "";
  let usage = null;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta.content ?? "";
    usage = chunk.usage ?? usage;
  }
  assert.equal(text, TEXT);
  assert(usage.total_tokens > 0);
});

test("chat stream helper", async () => {
  const stream = client.chat.completions.stream({ model: ECHO, messages: user(TEXT) });
  let pieces = 0;
  stream.on("content", () => (pieces += 1));
  assert.equal(await stream.finalContent(), TEXT);
  assert(pieces > 1);
});

test("image in", async () => {
  const content = [
    { type: "text", text: "see" },
    { type: "image_url", image_url: { url: `data:image/png;base64,${PIXEL}` } },
  ];
  const answer = await client.chat.completions.create({
    model: "demo-files",
    messages: user(content),
  });
  assert.match(answer.choices[0].message.content, /image\/png/);
});

test("stop and max_tokens", async () => {
  const ask = { model: ECHO, messages: user("one two three four") };
  const stopped = await client.chat.completions.create({ ...ask, stop: "three" });
  assert.equal(stopped.choices[0].message.content, "one two ");
  const cut = await client.chat.completions.create({
    model: ECHO,
    messages: user("word ".repeat(60)),
    max_tokens: 10,
  });
  assert.equal(cut.choices[0].finish_reason, "length");
});

test("several choices", async () => {
  const answer = await client.chat.completions.create({ model: ECHO, messages: user("hi"), n: 2 });
  assert.deepEqual(answer.choices.map((choice) => choice.message.content), ["hi", "hi"]);
});

test("images", async () => {
  const ask = { model: "demo-image", prompt: "a boat" };
  const [drawn] = (await client.images.generate({ ...ask, response_format: "b64_json" })).data;
  const events = [];
  for await (const event of await client.images.generate({ ...ask, stream: true })) events.push(event);
  assert.deepEqual(events.map((event) => event.b64_json), [drawn.b64_json]);
});

test("tool call", async () => {
  const ask = { model: OBEDIENT, messages: user(ASK_ADD), tools: [ADD] };
  const answer = await client.chat.completions.create(ask);
  const [call] = answer.choices[0].message.tool_calls;
  assert.equal(call.function.name, "add");
  assert.deepEqual(JSON.parse(call.function.arguments), { a: 3, b: 4 });
  assert.equal(answer.choices[0].finish_reason, "tool_calls");
});

test("tool runner", async () => {
  const add = { ...ADD.function, parse: JSON.parse, function: ({ a, b }) => String(a + b) };
  const runner = client.chat.completions.runTools({
    model: OBEDIENT,
    messages: user(ASK_ADD),
    stream: true,
    tools: [{ type: "function", function: add }],
  });
  assert(await runner.finalContent());
  assert.equal(await runner.finalFunctionToolCallResult(), "7");
});

test("json schema", async () => {
  const answer = await client.chat.completions.parse({
    model: OBEDIENT,
    messages: user("Anna is 41 years old."),
    response_format: zodResponseFormat(Person, "person"),
  });
  assert.equal(typeof answer.choices[0].message.parsed.age, "number");
});

test("logprobs", async () => {
  const answer = await client.chat.completions.create({
    model: ECHO,
    messages: user("hi"),
    logprobs: true,
  });
  assert(answer.choices[0].logprobs);
});

test("completion", async () => {
  const answer = await client.completions.create({ model: ECHO, prompt: TEXT });
  assert.equal(answer.choices[0].text, TEXT);
});

test("response", async () => {
  const answer = await client.responses.create({ model: ECHO, input: TEXT });
  assert.equal(answer.output_text, TEXT);
});

test("response streamed", async () => {
  const stream = client.responses.stream({ model: ECHO, input: TEXT });
  let deltas = 0;
  stream.on("response.output_text.delta", () => (deltas += 1));
  assert.equal((await stream.finalResponse()).output_text, TEXT);
  assert(deltas > 1);
});

test("response with tool", async () => {
  const tools = [{ type: "function", strict: false, ...ADD.function }];
  const answer = await client.responses.create({ model: OBEDIENT, input: ASK_ADD, tools });
  const call = answer.output.find((item) => item.type === "function_call");
  assert.deepEqual(JSON.parse(call.arguments), { a: 3, b: 4 });
});

test("errors", async () => {
  const ask = (more) => client.chat.completions.create({ model: ECHO, messages: user("hi"), ...more });
  await assert.rejects(ask({ model: "gpt-none" }), OpenAI.NotFoundError);
  await assert.rejects(ask({ messages: [] }), OpenAI.BadRequestError);
});

test("error in mid-stream", async () => {
  const messages = user("word ".repeat(100) + "[[demo:cut=200]]");
  const stream = await client.chat.completions.create({ model: ECHO, messages, stream: true });
  await assert.rejects(async () => {
    for await (const _ of stream);
  }, OpenAI.APIError);
});

test("leaving", async () => {
  const messages = user("word ".repeat(2000));
  const stream = await client.chat.completions.create({ model: ECHO, messages, stream: true });
  for await (const _ of stream) break;
  const answer = await client.chat.completions.create({ model: ECHO, messages: user("hi") });
  assert.equal(answer.choices[0].message.content, "hi");
});

test("embeddings", async () => {
  assert((await client.embeddings.create({ model: ECHO, input: "hi" })).data);
});
