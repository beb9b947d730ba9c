/** The geometry of a small line over time. Pure: points in, path texts out. */

/** @typedef {import("./store.js").Point} Point */

export const WIDTH = 300;
export const HEIGHT = 48;
const GAP_MS = 6000;
const MARGIN = 2;

/**
 * The next round number at or above the peak, so that the scale changes seldom.
 * @param {number} peak
 */
export function ceiling(peak) {
  if (!(peak > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(peak));
  const step = [1, 1.5, 2, 3, 5, 7.5].find((each) => each * power >= peak * (1 - 1e-9));
  return (step ?? 10) * power;
}

/**
 * The highest value of a series.
 * @param {readonly Point[]} points
 */
export function peak(points) {
  return points.reduce((highest, { value }) => Math.max(highest, value), 0);
}

/**
 * Points as stretches: where nothing was heard for a while, there is no line.
 * @param {readonly Point[]} points oldest first
 * @returns {Point[][]}
 */
function stretches(points) {
  /** @type {Point[][]} */
  const all = [];
  for (const point of points) {
    const current = all.at(-1);
    const last = current?.at(-1);
    if (current && last && point.at_ms - last.at_ms <= GAP_MS) current.push(point);
    else all.push([point]);
  }
  return all;
}

/**
 * The line and the area under it, the newest point at the right edge.
 * @param {readonly Point[]} points oldest first
 * @param {number} now_ms
 * @param {number} span_ms time from the left edge to the right one
 * @returns {{ line: string, area: string }}
 */
export function trace(points, now_ms, span_ms) {
  const top = ceiling(peak(points));
  /** @param {Point} point */
  const place = ({ at_ms, value }) => {
    const x = WIDTH * (1 - (now_ms - at_ms) / span_ms);
    const y = HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * (value / top);
    return { x: x.toFixed(1), y: y.toFixed(1) };
  };
  let line = "";
  let area = "";
  for (const stretch of stretches(points)) {
    const places = stretch.map(place);
    const path = places.map(({ x, y }) => `${x} ${y}`).join("L");
    line += `M${path}${places.length === 1 ? "h0.1" : ""}`;
    area += `M${places[0].x} ${HEIGHT}L${path}L${places[places.length - 1].x} ${HEIGHT}Z`;
  }
  return { line, area };
}
