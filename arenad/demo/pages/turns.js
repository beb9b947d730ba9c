// What the talk shows: prompts, answers that grow, alerts. Cheap for answers of many megabytes.

import { prose } from "./prose.js";

// The last block is laid out anew in each frame. A WebSocket's messages come one by one, so of a fast answer
// there are few to a frame: a large block costs its layout hundreds of times.
const BLOCK_CHARS = 4 * 1024;
const LINE_CHARS = 128 * 1024;

/** Text that only grows, in blocks: a chunk touches the last block, never the ones before. */
export class GrowingText {
  constructor(element) {
    this.element = element;
    this.length = 0;
    this.block = null;
  }

  append(text) {
    this.length += text.length;
    for (let from = 0; from < text.length; ) {
      this.block ??= this.nextBlock();
      const room = BLOCK_CHARS - this.block.length;
      const to = room > 0 ? from + room : endOfLine(text, from);
      this.block.appendData(text.slice(from, to));
      // A full block goes on to the end of its line, so that the seam is not seen; but not for ever.
      const ended = room <= 0 && text[to - 1] === "\n";
      if (ended || this.block.length >= LINE_CHARS) this.block = null;
      from = to;
    }
  }

  nextBlock() {
    const block = made("div", "block");
    block.append("");
    this.element.append(block);
    return block.firstChild;
  }
}

function endOfLine(text, from) {
  const end = text.indexOf("\n", from) + 1 || text.length;
  return Math.min(end, from + LINE_CHARS);
}

function made(kind, className, text) {
  const element = document.createElement(kind);
  element.className = className;
  if (text) element.textContent = text;
  return element;
}

/** Show what was asked, and the files that came with it. */
export function showPrompt(turns, text, attachments = []) {
  const turn = made("article", "turn prompt");
  turn.dataset.role = "user";
  const shown = made("div", "text");
  new GrowingText(shown).append(text);
  turn.append(made("h2", "", "You"), shown);
  if (attachments.length) turn.append(fileList(attachments));
  turns.append(turn);
}

function fileList(attachments) {
  const list = made("ul", "sent-files");
  for (const { name, contentType, url } of attachments) {
    const item = made("li", "");
    item.append(contentType.startsWith("image/") ? picture(url, name) : name.replace(/^[0-9a-f]{16}-/, ""));
    list.append(item);
  }
  return list;
}

function picture(url, alt) {
  const image = made("img", "");
  image.alt = alt;
  image.src = url;
  return image;
}

/** Room for two answers side by side. */
export function pairRoom(turns) {
  const room = made("div", "pair");
  turns.append(room);
  return room;
}

/** A row of buttons below the answers: `choices` are pairs of a label and what a press does. */
export function choiceBar(room, label, choices) {
  const bar = made("div", "choice-bar");
  bar.setAttribute("role", "group");
  bar.setAttribute("aria-label", label);
  for (const [name, press] of choices) {
    const button = made("button", "choice", name);
    button.type = "button";
    button.addEventListener("click", press);
    bar.append(button);
  }
  room.append(bar);
  return bar;
}

/** Show an alert at the end of the talk; its parts are texts and elements. */
export function showAlert(turns, ...parts) {
  const alert = made("p", "");
  alert.append(...parts);
  alert.setAttribute("role", "alert");
  turns.append(alert);
}

/** An answer in the talk, from its first byte to its end. */
export class Answer {
  constructor(turns, modelName, message, side = "a") {
    this.side = side;
    this.turn = made("article", "turn answer");
    this.turn.dataset.role = "assistant";
    this.turn.dataset.messageId = message;
    this.turn.dataset.side = side;
    this.shown = made("div", "text");
    this.turn.append(made("h2", "", modelName), this.shown);
    this.text = new GrowingText(this.shown);
    this.reasoning = null;
    this.sources = null;
    this.pictures = null;
    this.status = "running";
    turns.append(this.turn);
  }

  get message() {
    return this.turn.dataset.messageId;
  }

  set status(status) {
    this.turn.dataset.status = status;
  }

  set message(id) {
    this.turn.dataset.messageId = id;
  }

  set heading(name) {
    this.turn.querySelector("h2").textContent = name;
  }

  append(text) {
    this.text.append(text);
  }

  /** Show a picture of the answer's own. */
  draw(url) {
    if (!this.pictures) {
      this.pictures = made("div", "pictures");
      this.shown.before(this.pictures);
    }
    this.pictures.append(picture(url, "Generated image"));
  }

  /** Name a source. */
  cite({ title, url }) {
    this.sources ??= this.turn.appendChild(made("ol", "sources"));
    const link = made("a", "", title || url);
    if (/^https?:/.test(url)) link.href = url;
    link.rel = "noreferrer";
    const item = made("li", "");
    item.append(link);
    this.sources.append(item);
  }

  think(text) {
    if (!this.reasoning) {
      const details = made("details", "reasoning");
      const shown = made("div", "text");
      details.append(made("summary", "", "Reasoning"), shown);
      this.shown.before(details);
      this.reasoning = new GrowingText(shown);
    }
    this.reasoning.append(text);
  }

  alert(...parts) {
    showAlert(this.turn, ...parts);
  }

  /** Nothing more will come: a short text gets its Markdown. `again`, if given, asks anew. */
  finish(status, again) {
    this.status = status;
    if (this.text.length && this.text.length < BLOCK_CHARS) {
      this.shown.replaceChildren(prose(this.shown.textContent));
    }
    if (!again) return;
    const button = made("button", "again", "Regenerate");
    button.type = "button";
    button.addEventListener("click", again);
    this.turn.append(button);
  }

  remove() {
    this.turn.remove();
  }
}
