/** Orders to the daemon: plain POSTs to this page's own server. */

/** @typedef {import("./store.js").Outcome} Outcome */

const DEADLINE_MS = 15_000;

/**
 * Have this many instances.
 * @param {number} instances
 */
export function scale(instances) {
  return post("/gui/api/scale", { instances });
}

/**
 * Restart or drain one child.
 * @param {"restart" | "drain"} order
 * @param {string} name
 */
export function orderChild(order, name) {
  return post(`/gui/api/${order}`, { name });
}

/**
 * @param {string} path
 * @param {object} body
 * @returns {Promise<Outcome>}
 */
async function post(path, body) {
  try {
    const response = await fetch(path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(DEADLINE_MS),
    });
    return outcome(response.status, await response.text());
  } catch (error) {
    const late = error instanceof DOMException && error.name === "TimeoutError";
    const text = late
      ? "No answer in time; the order may still be carried out."
      : "The order did not reach the daemon: no connection.";
    return { text, failed: true };
  }
}

/**
 * What an answer says, also where it is not the JSON that was promised.
 * @param {number} status
 * @param {string} body
 * @returns {Outcome}
 */
export function outcome(status, body) {
  const failed = status < 200 || status > 299;
  let answer = null;
  try {
    answer = JSON.parse(body);
  } catch {
    // Told below by its status.
  }
  const text = failed ? answer?.error?.message : answer?.text;
  if (typeof text === "string" && text !== "") return { text, failed };
  return { text: failed ? `The server refused with status ${status}.` : "Done.", failed };
}
