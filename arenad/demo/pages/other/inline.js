// The marks within a line of Markdown, as DOM nodes. Markup in the text stays text.

const ENTITIES = { amp: "&", lt: "<", gt: ">", quot: '"', nbsp: "\u00a0" };

// Each row: what to look for, and the nodes to make of what it caught. The first that fits at a place wins.
const MARKS = [
  [/^\\([!-/:-@[-`{-~])/, ([, sign]) => sign],
  [/^(?: {2,}|\\)\n/, () => document.createElement("br")],
  [/^(`+)(?!`)([^]*?[^`])\1(?!`)/, ([, , text]) => element("code", [bare(text)])],
  [/^&(amp|lt|gt|quot|nbsp);/, ([, name]) => ENTITIES[name]],
  [/^!\[([^\]]*)\]\(([^()\s]*)\)/, ([, alt]) => alt],
  [/^\[((?:[^[\]\\]|\\.)+)\]\(([^()\s]*)\)/, ([, text, address]) => link(text, address)],
  [/^(\*\*|__)(?=\S)((?:\\.|[^\\])*?\S)\1/, ([, , text]) => element("strong", inline(text)), "_"],
  [/^(\*|_)(?=\S)((?:\\.|(?!\1)[^\\])*?[^\s\\])\1(?!\1)/, ([, , text]) => element("em", inline(text)), "_"],
  [/^~~(?=\S)([^~]*?\S)~~/, ([, text]) => element("del", inline(text))],
];

/** The nodes and strings that show `text`. */
export function inline(text) {
  const nodes = [];
  let plain = "";
  for (let at = 0; at < text.length; ) {
    const found = markAt(text, at);
    if (!found) {
      plain += text[at];
      at += 1;
      continue;
    }
    const node = found.make(found.match);
    if (typeof node === "string") {
      plain += node;
    } else {
      if (plain) nodes.push(plain);
      plain = "";
      nodes.push(node);
    }
    at += found.match[0].length;
  }
  if (plain) nodes.push(plain);
  return nodes;
}

function markAt(text, at) {
  if (!/[\\ `&![*_~]/.test(text[at])) return null;
  const rest = text.slice(at, at + 4096); // a mark that does not end within this is none
  for (const [pattern, make, within] of MARKS) {
    const match = pattern.exec(rest);
    if (!match) continue;
    // An underscore within a word is a letter like others.
    const after = text[at + match[0].length] ?? "";
    if (within && text[at] === within && (/\w/.test(text[at - 1] ?? "") || /\w/.test(after))) continue;
    return { match, make };
  }
  return null;
}

/** A code span may have a space on both sides, so that it can begin with a backtick. */
function bare(text) {
  const flat = text.replaceAll("\n", " ");
  return /^ .*\S.* $/.test(flat) ? flat.slice(1, -1) : flat;
}

function link(text, address) {
  const made = element("a", inline(text));
  // Nothing here may run: an address that is not of these kinds leads nowhere.
  if (/^(https?:|mailto:|[/#.\w])/i.test(address) && !/^(javascript|data):/i.test(address)) made.href = address;
  made.rel = "noreferrer";
  return made;
}

function element(kind, nodes) {
  const made = document.createElement(kind);
  made.append(...nodes);
  return made;
}
