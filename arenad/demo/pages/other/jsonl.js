// JSON lines read by fetch, as local model servers send them.

import { linesOf, post } from "./net.js";
import { startTalk } from "./talk.js";

async function* ask({ model, messages, signal }) {
  const response = await post("/other/jsonl/chat", { model, messages, stream: true }, signal);
  for await (const line of linesOf(response)) {
    const { error, message, done } = JSON.parse(line);
    if (error) throw new Error(error);
    if (message.thinking) yield { kind: "reasoning", text: message.thinking };
    if (message.content) yield { kind: "text", text: message.content };
    if (done) return;
  }
  throw new Error("The answer broke off.");
}

startTalk({ root: document, ask });
