// Markdown as DOM nodes while it grows: what has ended stays as it is, the last block is made anew.

import { inline } from "./inline.js";

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*?)\s*#*\s*$/;
const RULE = /^ {0,3}([-*_])(?:\s*\1){2,}\s*$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( {0,3})([-*+]|\d{1,9}[.)])( +|$)/;
const DELIMITER = /^ {0,3}\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$/;

/** Shows a text that grows in `element`, at most once a frame. */
export class Markdown {
  constructor(element) {
    this.element = element;
    this.rest = "";
    this.open = [];
    this.frame = 0;
  }

  append(text) {
    this.rest += text;
    this.frame ||= requestAnimationFrame(() => this.draw());
  }

  finish() {
    cancelAnimationFrame(this.frame);
    this.draw();
  }

  draw() {
    this.frame = 0;
    const lines = this.rest.split("\n");
    const blocks = blocksOf(lines);
    for (const node of this.open) node.remove();
    this.element.append(...blocks.map((block) => block.node));
    const last = blocks.at(-1);
    this.open = last ? [last.node] : [];
    if (last) this.rest = lines.slice(last.from).join("\n");
  }
}

/** The blocks of some lines: `{node, from}`, with the line that each begins at. */
function blocksOf(lines) {
  const blocks = [];
  for (let at = 0; at < lines.length; ) {
    if (!lines[at].trim()) {
      at += 1;
      continue;
    }
    const [node, next] = blockAt(lines, at);
    blocks.push({ node, from: at });
    at = next;
  }
  return blocks;
}

function nodesOf(lines) {
  return blocksOf(lines).map((block) => block.node);
}

function blockAt(lines, at) {
  const fence = FENCE.exec(lines[at]);
  if (fence) return code(lines, at, fence);
  const heading = HEADING.exec(lines[at]);
  if (heading) return [filled(`h${heading[1].length}`, inline(heading[2])), at + 1];
  if (RULE.test(lines[at])) return [document.createElement("hr"), at + 1];
  if (QUOTE.test(lines[at])) return quote(lines, at);
  if (ITEM.test(lines[at])) return list(lines, at);
  if (lines[at].includes("|") && DELIMITER.test(lines[at + 1] ?? "")) return table(lines, at);
  const end = endOf(lines, at + 1, (line, place) => line.trim() && !interrupts(lines, place));
  return [filled("p", inline(lines.slice(at, end).join("\n").trim())), end];
}

function interrupts(lines, at) {
  return [FENCE, HEADING, RULE, QUOTE, ITEM].some((pattern) => pattern.test(lines[at]));
}

function endOf(lines, from, belongs) {
  let end = from;
  while (end < lines.length && belongs(lines[end], end)) end += 1;
  return end;
}

function code(lines, at, [, fence, language]) {
  const closing = new RegExp(`^ {0,3}${fence[0]}{${fence.length},}\\s*$`);
  const end = endOf(lines, at + 1, (line) => !closing.test(line));
  const text = lines.slice(at + 1, end).join("\n");
  const shown = filled("code", [end > at + 1 ? `${text}\n` : ""]);
  const name = language.trim().split(/\s/)[0];
  if (name) shown.className = `language-${name}`;
  const block = filled("pre", [shown]);
  block.tabIndex = 0; // it may scroll, so the keyboard must reach it
  return [block, Math.min(end + 1, lines.length)];
}

function quote(lines, at) {
  const end = endOf(lines, at, (line) => QUOTE.test(line));
  const inside = lines.slice(at, end).map((line) => line.replace(QUOTE, ""));
  return [filled("blockquote", nodesOf(inside)), end];
}

function list(lines, at) {
  const [, , mark] = ITEM.exec(lines[at]);
  const kind = markKind(mark);
  const shown = document.createElement(kind.length > 1 ? "ol" : "ul");
  if (shown.tagName === "OL" && Number.parseInt(mark, 10) !== 1) shown.start = Number.parseInt(mark, 10);
  const items = [];
  let loose = false;
  let next = at;
  while (next < lines.length && ITEM.test(lines[next]) && markKind(ITEM.exec(lines[next])[2]) === kind) {
    const [inside, end] = item(lines, next);
    const spaced = !lines[end - 1].trim() && ITEM.test(lines[end] ?? "");
    loose ||= spaced || inside.some((line, place) => place > 0 && !line.trim() && inside[place + 1]?.trim());
    items.push(inside);
    next = end;
  }
  for (const inside of items) shown.append(filled("li", loose ? nodesOf(inside) : tight(inside)));
  return [shown, next];
}

/** `-` and `*` begin different lists, `1.` and `2.` one and the same. */
function markKind(mark) {
  return mark.replace(/^\d+/, "1");
}

/** The lines of one item without their indent, and where the next thing begins. */
function item(lines, at) {
  const [whole, indent, mark] = ITEM.exec(lines[at]);
  const width = Math.min(whole.length, indent.length + mark.length + 4) || whole.length;
  const inside = [lines[at].slice(whole.length)];
  let next = at + 1;
  for (; next < lines.length; next += 1) {
    const line = lines[next];
    const deep = line.slice(0, width).trim() === "";
    const lazy = lines[next - 1].trim() && line.trim() && !interrupts(lines, next);
    if (!deep && !lazy) break;
    inside.push(deep ? line.slice(width) : line.trimStart());
  }
  return [inside, next];
}

/** The nodes of an item whose paragraphs are no paragraphs of their own. */
function tight(lines) {
  return nodesOf(lines).flatMap((node) => (node.tagName === "P" ? [...node.childNodes] : [node]));
}

function table(lines, at) {
  const sides = cells(lines[at + 1]).map((cell) => `${cell.at(0) === ":"}${cell.at(-1) === ":"}`);
  const align = { truetrue: "center", falsetrue: "right", truefalse: "left" };
  const row = (kind, line) => {
    const shown = cells(line).slice(0, sides.length);
    return filled(
      "tr",
      shown.map((cell, place) => {
        const made = filled(kind, inline(cell));
        if (align[sides[place]]) made.setAttribute("align", align[sides[place]]);
        return made;
      }),
    );
  };
  const end = endOf(lines, at + 2, (line) => line.trim() && !interrupts([line], 0));
  const body = lines.slice(at + 2, end).map((line) => row("td", line));
  const parts = [filled("thead", [row("th", lines[at])])];
  if (body.length) parts.push(filled("tbody", body));
  return [filled("table", parts), end];
}

function cells(line) {
  const bare = line.trim().replace(/^\|/, "").replace(/(?<!\\)\|$/, "");
  return bare.split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll("\\|", "|"));
}

function filled(kind, nodes) {
  const element = document.createElement(kind);
  element.append(...nodes);
  return element;
}
