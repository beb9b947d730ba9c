// Vercel's AI SDK, by its provider for OpenAI-compatible services.

import assert from "node:assert/strict";
import { test } from "node:test";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import * as ai from "ai";
import { z } from "zod";

const TEXT = 'Grüße, 汉字, 👩‍👩‍👧‍👦, "quoted"\n\n```python\nprint(1)\n```';
const PIXEL =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const ASK_ADD = "What is 3 plus 4? Use the tool add.";

const arenad = createOpenAICompatible({
  name: "arenad",
  baseURL: `${process.env.ARENAD_URL}/v1`,
  apiKey: "none",
  includeUsage: true,
  supportsStructuredOutputs: true,
});
const echo = arenad("demo-echo");
const obedient = arenad(process.env.OBEDIENT_MODEL);
const add = ai.tool({
  description: "Adds two numbers.",
  inputSchema: z.object({ a: z.number().int(), b: z.number().int() }),
  execute: async ({ a, b }) => a + b,
});

test("generateText", async () => {
  const { text, finishReason, usage } = await ai.generateText({ model: echo, prompt: TEXT, maxRetries: 0 });
  assert.equal(text, TEXT);
  assert.equal(finishReason, "stop");
  assert(usage.totalTokens > 0);
});

test("streamText", async () => {
  const result = ai.streamText({ model: echo, prompt: TEXT, maxRetries: 0 });
  let text = "";
  let pieces = 0;
  for await (const piece of result.textStream) {
    text += piece;
    pieces += 1;
  }
  assert.equal(text, TEXT);
  assert(pieces > 1);
  assert.equal(await result.finishReason, "stop");
  assert((await result.usage).totalTokens > 0);
});

test("messages", async () => {
  const messages = [
    { role: "user", content: "first question" },
    { role: "assistant", content: "first answer" },
    { role: "user", content: "second question" },
  ];
  const { text } = await ai.generateText({ model: echo, system: "be brief", messages, maxRetries: 0 });
  for (const each of ["be brief", "first question", "first answer", "second question"])
    assert(text.includes(each), text);
});

test("image in", async () => {
  const content = [
    { type: "text", text: "see" },
    { type: "file", data: Buffer.from(PIXEL, "base64"), mediaType: "image/png" },
  ];
  const messages = [{ role: "user", content }];
  const { text } = await ai.generateText({ model: arenad("demo-files"), messages, maxRetries: 0 });
  assert.match(text, /image\/png/);
});

test("reasoning", async () => {
  const result = ai.streamText({ model: arenad("demo-reasoning"), prompt: "hi", maxRetries: 0 });
  assert.equal(await result.text, "hi");
  assert.match(await result.reasoningText, /characters/);
});

test("stopSequences and maxOutputTokens", async () => {
  const ask = { model: echo, maxRetries: 0 };
  const stopped = await ai.generateText({ ...ask, prompt: "one two three", stopSequences: ["three"] });
  assert.equal(stopped.text.trimEnd(), "one two");
  const cut = await ai.generateText({ ...ask, prompt: "word ".repeat(60), maxOutputTokens: 10 });
  assert.equal(cut.finishReason, "length");
});

test("tool call", async () => {
  const { toolCalls, toolResults } = await ai.generateText({
    model: obedient,
    prompt: ASK_ADD,
    tools: { add },
    maxRetries: 0,
  });
  assert.deepEqual(toolCalls[0].input, { a: 3, b: 4 });
  assert.equal(toolResults[0].output, 7);
});

test("tool loop streamed", async () => {
  const result = ai.streamText({
    model: obedient,
    prompt: ASK_ADD,
    tools: { add },
    stopWhen: ai.isStepCount ? ai.isStepCount(3) : ai.stepCountIs(3),
    maxRetries: 0,
  });
  assert(await result.text);
  assert.equal((await result.steps).length, 2);
});

test("structured output", async () => {
  const schema = z.object({ name: z.string(), age: z.number() });
  const { output } = await ai.generateText({
    model: obedient,
    prompt: "Anna is 41 years old.",
    output: ai.Output.object({ schema }),
    maxRetries: 0,
  });
  assert.equal(typeof output.age, "number");
});

test("completion", async () => {
  const model = arenad.completionModel("demo-echo");
  const { text } = await ai.generateText({ model, prompt: "hi", maxRetries: 0 });
  assert.match(text, /hi/);
});

test("error", async () => {
  await assert.rejects(
    ai.generateText({ model: arenad("gpt-none"), prompt: "hi", maxRetries: 0 }),
    (error) => ai.APICallError.isInstance(error) && error.statusCode === 404,
  );
});

test("error in mid-stream", async () => {
  const errors = [];
  const result = ai.streamText({
    model: echo,
    prompt: "word ".repeat(100) + "[[demo:cut=200]]",
    maxRetries: 0,
    onError: ({ error }) => errors.push(error),
  });
  await result.consumeStream();
  assert.equal(errors.length, 1);
});

test("abort", async () => {
  const leaving = new AbortController();
  const result = ai.streamText({
    model: echo,
    prompt: "word ".repeat(2000),
    abortSignal: leaving.signal,
    maxRetries: 0,
  });
  for await (const _ of result.textStream) {
    leaving.abort();
    break;
  }
  const { text } = await ai.generateText({ model: echo, prompt: "hi", maxRetries: 0 });
  assert.equal(text, "hi");
});

test("embeddings", async () => {
  const model = arenad.embeddingModel("demo-echo");
  assert((await ai.embed({ model, value: "hi", maxRetries: 0 })).embedding);
});
