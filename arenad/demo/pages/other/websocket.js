// Frames of JSON over one WebSocket.

import { socketAsk } from "./net.js";
import { startTalk } from "./talk.js";

function read(frame) {
  const { type, text } = JSON.parse(frame);
  return { kind: type, text };
}

startTalk({ root: document, ask: socketAsk("/other/websocket/talk", () => read) });
