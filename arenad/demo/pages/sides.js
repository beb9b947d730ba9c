// One or two answers on their way: each line goes to its side, each side ends alone.

import { Answer, pairRoom } from "./turns.js";
import { readLines } from "./wire.js";

const PLATFORM_FAILURE = "hasArenaError";

/** The answers of one turn. `sides` are `{message, name}` for A and perhaps B. */
export class Sides {
  constructor(turns, sides) {
    this.turns = turns;
    this.room = sides.length > 1 ? pairRoom(turns) : turns;
    const letters = ["a", "b"];
    this.answers = sides.map(({ message, name }, place) => new Answer(this.room, name, message, letters[place]));
    this.ended = new Map();
  }

  get first() {
    return this.answers[0];
  }

  /** Show a response as it comes. */
  async receive(response) {
    for await (const lines of readLines(response)) {
      for (const side of ["a", "b"]) {
        const own = lines.filter((line) => line.side === side);
        if (own.length) this.take(this.answerOf(side), own);
      }
    }
  }

  take(answer, lines) {
    const text = join(lines, "0");
    const thought = join(lines, "g");
    if (thought) answer.think(thought);
    if (text) answer.append(text);
    for (const { code, value } of lines) this.takeOther(answer, code, value);
  }

  takeOther(answer, code, value) {
    if (code === "0" && value === PLATFORM_FAILURE) answer.alert("Something went wrong on the platform.");
    if (code === "2" && Array.isArray(value)) {
      for (const item of value) if (item.type === "image") answer.draw(item.image);
    }
    if (code === "3") answer.alert(String(value));
    if (code === "c") for (const source of sourcesIn(value)) answer.cite(source);
    if (code === "d") this.ended.set(answer.side, value.finishReason);
    if (code === "e" && value.message) answer.alert(value.message);
    if (code === "f" && value.messageId && !answer.message) answer.message = value.messageId;
  }

  /** The answer of a side. A site may show two answers where one was asked for: then there is room for the second. */
  answerOf(side) {
    const found = this.answers.find((answer) => answer.side === side);
    if (found) return found;
    const alone = this.first.turn;
    this.room = pairRoom(this.turns);
    this.room.append(alone);
    const second = new Answer(this.room, "Another answer", "", side);
    this.answers.push(second);
    return second;
  }

  /** How a side ended: `done`, or `cut` without its last line. */
  statusOf(answer) {
    return this.ended.has(answer.side) ? "done" : "cut";
  }

  remove() {
    for (const answer of this.answers) answer.remove();
    if (this.room !== this.turns) this.room.remove();
  }
}

function join(lines, code) {
  const own = lines.filter((line) => line.code === code && line.value !== PLATFORM_FAILURE);
  return own.map((line) => (typeof line.value === "string" ? line.value : line.value?.text ?? "")).join("");
}

/** The arguments of a search call are JSON text with one source or a list of them. */
function sourcesIn(value) {
  try {
    const { source } = JSON.parse(value.argsTextDelta);
    return [source].flat().filter((each) => each?.url);
  } catch {
    return [];
  }
}
