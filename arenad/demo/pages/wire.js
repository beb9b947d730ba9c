// The arena wire protocol as the page speaks it: ids, bodies, and the lines of an answer.

const STREAM = "/nextjs-api/stream";

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
  return { models: state.initialModels, first: state.initialModelAId };
}

/** Ask for an answer to `prompt`; a chat without an id is created. Returns the response. */
export function ask({ chat, create, model, userMessage, answerMessage, prompt, signal }) {
  const body = {
    id: chat,
    ...(create ? { mode: "direct" } : {}),
    modelAId: model,
    userMessageId: userMessage,
    modelAMessageId: answerMessage,
    userMessage: { content: prompt, experimental_attachments: [], metadata: {} },
    modality: "chat",
  };
  const path = create ? "create-evaluation" : `post-to-evaluation/${chat}`;
  return send("POST", path, body, signal);
}

/** Ask for another answer in the place of one. Returns the response. */
export function askAgain({ chat, message, model, signal }) {
  const path = `retry-evaluation-session-message/${chat}/messages/${message}`;
  return send("PUT", path, { modelId: model }, signal);
}

/** Ask the site to end a running answer. */
export function askStop({ chat, message }) {
  const path = `stop/${chat}/messages/${message}`;
  return send("POST", path, { stoppedAt: new Date().toISOString() });
}

function send(method, path, body, signal) {
  return fetch(`${STREAM}/${path}`, {
    method,
    headers: { "Content-Type": "text/plain;charset=UTF-8" },
    body: JSON.stringify(body),
    signal,
  });
}

/** What a refused request says: the site's own words where it has any. */
export async function refusal(response) {
  const text = await response.text();
  try {
    const { error, message } = JSON.parse(text);
    return message ? `${error}: ${message}` : String(error);
  } catch {
    return `The site answered ${response.status}.`;
  }
}

/** One line of an answer as `{side, code, value}`, or null for what is none. */
export function readLine(line) {
  const found = /^(?:data: ?)?([a-z])([0-9a-z]):(.*?)\r?$/s.exec(line);
  if (!found) return null;
  try {
    return { side: found[1], code: found[2], value: JSON.parse(found[3]) };
  } catch {
    return null;
  }
}

/** The lines of a response as they come: one array for each piece that the network brings. */
export async function* readLines(response) {
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let held = "";
  for (;;) {
    const { done, value } = await reader.read();
    const text = done ? decoder.decode() : decoder.decode(value, { stream: true });
    const lines = text.split("\n");
    lines[0] = held + lines[0];
    held = done ? "" : lines.pop();
    const read = lines.map(readLine).filter(Boolean);
    if (read.length) yield read;
    if (done) return;
  }
}
