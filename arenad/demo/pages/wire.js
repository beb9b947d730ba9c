// The arena wire protocol as the page speaks it: ids, bodies, and the lines of an answer.

import { variant } from "./place.js";

/** A UUID of version 7: 48 bits of Unix milliseconds, then chance. */
export function uuid7() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  let ms = Date.now();
  for (let place = 5; place >= 0; place -= 1) {
    bytes[place] = ms % 256;
    ms = Math.floor(ms / 256);
  }
  bytes[6] = 0x70 | (bytes[6] & 0x0f);
  bytes[8] = 0x80 | (bytes[8] & 0x3f);
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

/** The models that the page's HTML brought along: `{models, first}`. */
export function embeddedModels(element) {
  const state = JSON.parse(JSON.parse(element.textContent)[1]);
  const listed = state.initialModels ?? state.initialState ?? state;
  const models = listed.filter((each) => each?.publicName);
  return { models, first: state.initialModelAId ?? state.modelAId ?? models[0].id };
}

/** Ask for answers to `prompt`. `sides` are `{model, message}` for A and perhaps B; a `model` of null is the site's
 * choice. `history` are the messages so far, as `message` makes them. Returns the response. */
export function ask({ chat, create, mode, modality, sides, userMessage, prompt, attachments, history, signal }) {
  const [a, b] = sides;
  const body = {
    id: chat,
    ...(create ? { mode } : {}),
    ...(a.model ? { modelAId: a.model } : {}),
    ...(b?.model ? { modelBId: b.model } : {}),
    userMessageId: userMessage,
    modelAMessageId: a.message,
    ...(b ? { modelBMessageId: b.message } : {}),
    ...(variant.chain ? { messages: history } : { userMessage: turn(prompt, attachments) }),
    modality,
  };
  const path = create ? "create-evaluation" : `post-to-evaluation/${chat}`;
  return send("POST", path, body, signal);
}

function turn(content, attachments) {
  return { content, experimental_attachments: attachments, metadata: {} };
}

/** A message as chains bring it. */
export function message(chat, { id, role, content, model = null, side = "a", parents, status, attachments = [] }) {
  return {
    id,
    role,
    content,
    experimental_attachments: attachments,
    parentMessageIds: parents,
    participantPosition: side,
    modelId: model,
    evaluationSessionId: chat,
    status,
    failureReason: null,
    ...(role === "assistant" ? { reasoning: "" } : {}),
  };
}

/** Ask for another answer in the place of one. Returns the response. */
export function askAgain({ chat, message, model, signal }) {
  const path = `retry-evaluation-session-message/${chat}/messages/${message}`;
  return send("PUT", path, model ? { modelId: model } : {}, signal);
}

/** Ask the site to end a running answer. */
export function askStop({ chat, message }) {
  const path = `stop/${chat}/messages/${message}`;
  return send("POST", path, { stoppedAt: new Date().toISOString() });
}

/** Of two answers in a direct chat, go on with the first. */
export function askSkip({ chat, first, second }) {
  const body = { messageAId: first, messageBId: second, modelAMessageId: first };
  return send("POST", `skip-direct-battle/${chat}`, body);
}

/** Cast a vote; resolves to the chat, in which the models have their names. */
export async function vote({ chat, choice }) {
  const body = JSON.stringify({ evaluationSessionId: chat, vote: choice });
  const response = await fetch("/api/vote", { method: "POST", body });
  if (!response.ok) throw await refusal(response);
  return response.json();
}

function send(method, path, body, signal) {
  return fetch(`${variant.stream}/${path}`, {
    method,
    headers: { "Content-Type": "text/plain;charset=UTF-8" },
    body: JSON.stringify(body),
    signal,
  });
}

/** A request that the site refused: its status, its words, the fields of its JSON. */
export class Refused extends Error {
  constructor(status, { error = "", message = "" } = {}) {
    super(message ? `${error}: ${message}` : error || `The site answered ${status}.`);
    this.status = status;
    this.hint = message;
  }
}

/** What a refused request says: the site's own words where it has any. */
export async function refusal(response) {
  const told = await response.json().catch(() => undefined);
  return new Refused(response.status, told);
}

/** One line of an answer as `{side, code, value}`, or null for what is none. */
export function readLine(line) {
  const found = /^(?:data: ?)?([a-z])([0-9a-z]):(.*?)\r?$/s.exec(line);
  if (!found) return readObject(line);
  try {
    return { side: found[1], code: found[2], value: JSON.parse(found[3]) };
  } catch {
    return null;
  }
}

/** A JSON error that stands in the place of an answer. */
function readObject(line) {
  if (!line.startsWith("{")) return null;
  try {
    const { error, message } = JSON.parse(line);
    return error ? { side: "a", code: "3", value: message ? `${error}: ${message}` : String(error) } : null;
  } catch {
    return null;
  }
}

/** The lines of a response as they come: one array for each piece that the network brings. */
export async function* readLines(response) {
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let held = [];
  for (;;) {
    const { done, value } = await reader.read();
    const text = done ? decoder.decode() : decoder.decode(value, { stream: true });
    const lines = text.split("\n");
    // A line may come byte by byte: its parts are joined once, at its end.
    held.push(lines[0]);
    if (lines.length > 1 || done) {
      lines[0] = held.join("");
      held = done ? [] : [lines.pop()];
      const read = lines.map(readLine).filter(Boolean);
      if (read.length) yield read;
    }
    if (done) return;
  }
}
