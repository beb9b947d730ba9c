// Light Markdown as DOM nodes: headings, fences, lists, bold, code. Text stays text, whatever is in it.

const FENCE = /^\s*```/;
const HEADING = /^(#{1,6})\s+(.*)$/;
const BULLET = /^\s*[-*+]\s+(.*)$/;
const STEP = /^\s*(\d{1,9})[.)]\s+(.*)$/;

/** A fragment that shows `text`. */
export function prose(text) {
  const shown = document.createDocumentFragment();
  const lines = text.split("\n");
  for (let at = 0; at < lines.length; ) {
    const [node, next] = blockAt(lines, at);
    if (node) shown.append(node);
    at = next;
  }
  return shown;
}

function blockAt(lines, at) {
  if (!lines[at].trim()) return [null, at + 1];
  if (FENCE.test(lines[at])) return fence(lines, at);
  const heading = HEADING.exec(lines[at]);
  // The page itself has the first two levels.
  if (heading) return [element(`h${Math.min(heading[1].length + 2, 5)}`, heading[2]), at + 1];
  if (BULLET.test(lines[at])) return list("ul", BULLET, lines, at);
  if (STEP.test(lines[at])) return list("ol", STEP, lines, at);
  const end = endOf(lines, at + 1, (line) => line.trim() && !startsBlock(line));
  return [element("p", lines.slice(at, end).join("\n")), end];
}

function startsBlock(line) {
  return [FENCE, HEADING, BULLET, STEP].some((pattern) => pattern.test(line));
}

function endOf(lines, from, belongs) {
  let end = from;
  while (end < lines.length && belongs(lines[end])) end += 1;
  return end;
}

function fence(lines, at) {
  const end = endOf(lines, at + 1, (line) => !FENCE.test(line));
  const code = document.createElement("code");
  code.textContent = lines.slice(at + 1, end).join("\n");
  const block = document.createElement("pre");
  block.tabIndex = 0; // it may scroll, so the keyboard must reach it
  block.append(code);
  return [block, end + 1];
}

function list(kind, pattern, lines, at) {
  const end = endOf(lines, at, (line) => pattern.test(line));
  const shown = document.createElement(kind);
  if (kind === "ol") shown.start = Number(STEP.exec(lines[at])[1]);
  shown.append(...lines.slice(at, end).map((line) => element("li", pattern.exec(line).at(-1))));
  return [shown, end];
}

function element(kind, text) {
  const made = document.createElement(kind);
  made.append(...inline(text));
  return made;
}

function* inline(text) {
  // Every odd part is one of the two marks, whole.
  for (const [place, part] of text.split(/(`[^`\n]+`|\*\*[^*\n]+\*\*)/).entries()) {
    if (place % 2 === 0) {
      if (part) yield part;
      continue;
    }
    const mark = part.startsWith("`") ? 1 : 2;
    const made = document.createElement(mark === 1 ? "code" : "strong");
    made.textContent = part.slice(mark, -mark);
    yield made;
  }
}
