// A question is posted, its answer is read by an EventSource.

import { Arrivals, post } from "./net.js";
import { startTalk } from "./talk.js";

async function* ask({ model, messages, signal }) {
  const response = await post("/other/eventsource/questions", { model, messages }, signal);
  const { id } = await response.json();
  const source = new EventSource(`/other/eventsource/answers/${id}`);
  const arrived = new Arrivals();
  const listen = (name, kind) =>
    source.addEventListener(name, (event) => arrived.push({ kind, text: JSON.parse(event.data) }));
  listen("message", "text");
  listen("reasoning", "reasoning");
  listen("end", "end");
  listen("failure", "error");
  source.addEventListener("error", () => arrived.push({ kind: "error", text: "The answer broke off." }));
  signal.addEventListener("abort", () => arrived.push({ kind: "error", text: "Stopped." }));
  try {
    for await (const each of arrived) {
      if (each.kind === "end") return;
      if (each.kind === "error") throw new Error(each.text);
      yield each;
    }
  } finally {
    source.close();
  }
}

startTalk({ root: document, ask });
