/** Numbers as people read them. Pure: no DOM, no clock. */

const MIB = 1024 * 1024;
const MINUTE_S = 60;
const HOUR_S = 60 * MINUTE_S;
const DAY_S = 24 * HOUR_S;

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const tenth = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const hundredth = new Intl.NumberFormat("en", {
  minimumFractionDigits: 2,
  maximumFractionDigits: 2,
});

const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });

/**
 * A large count that must fit its tile: exact up to five digits, then `1.23M`.
 * @param {number} value
 */
export function total(value) {
  return value < 100_000 ? count(value) : compact.format(value);
}

/**
 * A count with its thousands apart.
 * @param {number} value
 */
export function count(value) {
  return whole.format(value);
}

/**
 * Memory in MiB, as `arenactl status` prints it.
 * @param {number} value bytes
 */
export function mebibytes(value) {
  return `${whole.format(value / MIB)} MiB`;
}

/**
 * Requests per second: two digits while small, fewer when more would only flicker.
 * @param {number} value
 */
export function rate(value) {
  if (value < 10) return hundredth.format(value);
  return value < 100 ? tenth.format(value) : whole.format(value);
}

/**
 * @param {number} value share of one core, in percent
 */
export function percent(value) {
  return `${value < 10 ? tenth.format(value) : whole.format(value)} %`;
}

/**
 * An age in its two leading units: `8 s`, `3 min 20 s`, `2 h 5 min`, `4 d 3 h`.
 * @param {number} seconds
 */
export function age(seconds) {
  const total = Math.max(0, Math.floor(seconds));
  if (total < MINUTE_S) return `${total} s`;
  if (total < HOUR_S) return pair(total, MINUTE_S, "min", 1, "s");
  if (total < DAY_S) return pair(total, HOUR_S, "h", MINUTE_S, "min");
  return pair(total, DAY_S, "d", HOUR_S, "h");
}

/**
 * @param {number} total seconds
 * @param {number} major seconds in the larger unit
 * @param {string} majorUnit
 * @param {number} minor seconds in the smaller unit
 * @param {string} minorUnit
 */
function pair(total, major, majorUnit, minor, minorUnit) {
  const rest = Math.floor((total % major) / minor);
  const head = `${Math.floor(total / major)} ${majorUnit}`;
  return rest === 0 ? head : `${head} ${rest} ${minorUnit}`;
}

/**
 * Local time of day; with the date where it is not today.
 * @param {number} unix_s
 * @param {number} now_ms
 */
export function moment(unix_s, now_ms) {
  const then = new Date(unix_s * 1000);
  const clock = then.toLocaleTimeString("en", { hourCycle: "h23" });
  if (then.toDateString() === new Date(now_ms).toDateString()) return clock;
  const day = then.toLocaleDateString("en-GB", { day: "numeric", month: "short" });
  return `${day}, ${clock}`;
}

/**
 * A share between 0 and 1 for bars; nothing of nothing is empty.
 * @param {number} part
 * @param {number} total
 */
export function share(part, total) {
  if (!(total > 0)) return 0;
  return Math.min(1, Math.max(0, part / total));
}

/**
 * `1 chat`, `3 chats`.
 * @param {number} value
 * @param {string} noun
 */
export function many(value, noun) {
  return `${count(value)} ${noun}${value === 1 ? "" : "s"}`;
}
