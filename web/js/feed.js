/** One WebSocket that comes back by itself: the dashboard's feed, and the live view. */

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 8000;
const SILENCE_MS = 7000; // the server speaks at least each two seconds
const FOR_GOOD = 4000; // from here on, a close code says not to come back

/**
 * Follow a feed for as long as the page lives.
 * @template Message
 * @param {string} path of the WebSocket on this page's own server
 * @param {(data: string | ArrayBuffer) => Message | null} read makes a message of what came
 * @param {(message: Message | { type: "lost" } | { type: "ended", reason: string }) => void} tell
 * @returns {(text: string) => void} sends; what cannot be sent now is dropped
 */
export function follow(path, read, tell) {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const address = `${scheme}//${location.host}${path}`;
  let attempts = 0;
  let timer = 0; // the deadline of whatever is awaited: a message, or the next attempt
  /** @type {WebSocket | null} */
  let socket = null;
  let ended = false;

  function connect() {
    const opened = new WebSocket(address);
    socket = opened;
    opened.binaryType = "arraybuffer";
    listen();
    opened.addEventListener("message", (event) => {
      if (socket !== opened) return;
      attempts = 0;
      listen();
      const message = read(event.data);
      if (message !== null) tell(message);
    });
    opened.addEventListener("close", ({ code, reason }) => {
      if (socket !== opened) return;
      if (code < FOR_GOOD) lose();
      else end(reason);
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

  /** @param {string} reason */
  function end(reason) {
    ended = true;
    socket = null;
    clearTimeout(timer);
    tell({ type: "ended", reason });
  }

  /** Something changed for the better: do not wait for the next attempt. */
  function hurry() {
    if (ended || socket !== null || document.hidden) return;
    clearTimeout(timer);
    connect();
  }

  addEventListener("online", hurry);
  document.addEventListener("visibilitychange", hurry);
  connect();
  return (text) => {
    if (socket?.readyState === WebSocket.OPEN) socket.send(text);
  };
}

/**
 * Doubling up to a limit; a random half, so that many pages do not come back in step.
 * @param {number} attempts
 */
function pause(attempts) {
  const longest = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(attempts, 10));
  return longest / 2 + (Math.random() * longest) / 2;
}
