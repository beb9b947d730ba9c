/** The live feed: one WebSocket that comes back by itself. */

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 8000;
const SILENCE_MS = 7000; // the server speaks at least each two seconds

/**
 * Follow the feed for as long as the page lives.
 * @param {string} path of the WebSocket on this page's own server
 * @param {(message: import("./store.js").Note) => void} tell takes each message, and `lost`
 */
export function follow(path, tell) {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const address = `${scheme}//${location.host}${path}`;
  let attempts = 0;
  let timer = 0; // the deadline of whatever is awaited: a message, or the next attempt
  /** @type {WebSocket | null} */
  let socket = null;

  function connect() {
    const opened = new WebSocket(address);
    socket = opened;
    listen();
    opened.addEventListener("message", (event) => {
      if (socket !== opened) return;
      attempts = 0;
      listen();
      const message = parse(event.data);
      if (message !== null) tell(message);
    });
    opened.addEventListener("close", () => {
      if (socket === opened) lose();
    });
  }

  function listen() {
    clearTimeout(timer);
    timer = setTimeout(lose, SILENCE_MS);
  }

  function lose() {
    const left = socket;
    socket = null;
    left?.close();
    clearTimeout(timer);
    timer = setTimeout(connect, pause(attempts));
    attempts += 1;
    tell({ type: "lost" });
  }

  /** Something changed for the better: do not wait for the next attempt. */
  function hurry() {
    if (socket !== null || document.hidden) return;
    clearTimeout(timer);
    connect();
  }

  addEventListener("online", hurry);
  document.addEventListener("visibilitychange", hurry);
  connect();
}

/**
 * Doubling up to a limit; a random half, so that many pages do not come back in step.
 * @param {number} attempts
 */
function pause(attempts) {
  const longest = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(attempts, 10));
  return longest / 2 + (Math.random() * longest) / 2;
}

/**
 * A message of the feed, or null for what is none.
 * @param {unknown} text
 * @returns {import("./store.js").Note | null}
 */
function parse(text) {
  try {
    const message = JSON.parse(String(text));
    const known = message?.type === "state" || message?.type === "gone";
    return known ? message : null;
  } catch {
    return null;
  }
}
