// Server-sent events read by fetch, in the chunks of OpenAI-compatible services.

import { linesOf, post } from "./net.js";

export async function* askForChunks({ model, messages, signal }) {
  const wish = { model, messages, stream: true };
  const response = await post("/other/sse/chat/completions", wish, signal);
  for await (const line of linesOf(response)) {
    if (!line.startsWith("data:")) continue;
    const value = line.slice(5).trim();
    if (value === "[DONE]") return;
    const { error, choices } = JSON.parse(value);
    if (error) throw new Error(error.message);
    const { content, reasoning_content: thought } = choices[0].delta;
    if (thought) yield { kind: "reasoning", text: thought };
    if (content) yield { kind: "text", text: content };
  }
  throw new Error("The answer broke off.");
}
