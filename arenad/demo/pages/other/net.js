// What the transports share: a POST of JSON, the lines of a body, the frames of a socket.

/** POST a value as JSON. Resolves to the response; a refusal becomes an error with the site's own words. */
export async function post(address, value, signal) {
  const headers = { "Content-Type": "application/json" };
  const response = await fetch(address, { method: "POST", headers, body: JSON.stringify(value), signal });
  if (response.ok) return response;
  const { error, message } = await response.json().catch(() => ({}));
  throw new Error(message ? `${error}: ${message}` : `The site answered ${response.status}.`);
}

/** The lines of a response as they come. */
export async function* linesOf(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    const lines = (held + value).split("\n");
    held = lines.pop();
    yield* lines;
  }
  if (held) yield held;
}

/** Things that arrive by events, one after another, for a `for await`. */
export class Arrivals {
  constructor() {
    this.waiting = [];
    this.wake = () => {};
  }

  push(value) {
    this.waiting.push(value);
    this.wake();
  }

  async *[Symbol.asyncIterator]() {
    for (;;) {
      while (this.waiting.length) yield this.waiting.shift();
      await new Promise((resolve) => {
        this.wake = resolve;
      });
    }
  }
}

/** One WebSocket for all answers of a page. `reader()` makes, for a connection, what turns each of its frames into
 * `{kind, text}`, or null. */
export function socketAsk(path, reader) {
  let socket = null;
  let read = null;

  function connected() {
    if (socket?.readyState === WebSocket.OPEN) return socket;
    const address = new URL(path, location.href);
    address.protocol = address.protocol.replace("http", "ws");
    socket = new WebSocket(address);
    socket.binaryType = "arraybuffer";
    read = reader();
    return new Promise((resolve, reject) => {
      socket.addEventListener("open", () => resolve(socket), { once: true });
      socket.addEventListener("close", () => reject(new Error("The connection was lost.")), { once: true });
    });
  }

  return async function* ask({ model, messages, signal }) {
    const own = await connected();
    const frames = new Arrivals();
    const listening = new AbortController();
    const until = { signal: listening.signal };
    own.addEventListener("message", (event) => frames.push(read(event.data)), until);
    own.addEventListener("close", () => frames.push({ kind: "error", text: "The connection was lost." }), until);
    signal.addEventListener("abort", () => own.send(JSON.stringify({ type: "stop" })), until);
    try {
      own.send(JSON.stringify({ type: "ask", wish: { model, messages } }));
      for await (const frame of frames) {
        if (frame?.kind === "end") return;
        if (frame?.kind === "error") throw new Error(frame.text);
        if (frame) yield frame;
      }
    } finally {
      listening.abort();
    }
  };
}
