import { askForChunks } from "./chunks.js";
import { startTalk } from "./talk.js";

startTalk({ root: document, ask: askForChunks });
