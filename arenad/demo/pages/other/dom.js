// Masked binary frames, shown as HTML made of Markdown: the answer can be read nowhere but in the page.

import { Markdown } from "./markdown.js";
import { socketAsk } from "./net.js";
import { made, startTalk } from "./talk.js";

const KINDS = { t: "text", r: "reasoning", e: "end", f: "error" };

/** The first frame of a connection is its key; see `MaskedFrames` in arenad/demo/other/wire.py. */
function reader() {
  let key = null;
  return (frame) => {
    const bytes = new Uint8Array(frame);
    if (key === null) {
      key = bytes;
      return null;
    }
    const plain = new TextDecoder().decode(bytes.map((byte, place) => byte ^ key[place % key.length]));
    return { kind: KINDS[plain[0]], text: plain.slice(1) };
  };
}

function show(turn) {
  const shown = made("div", "text");
  turn.append(shown);
  return new Markdown(shown);
}

startTalk({ root: document, ask: socketAsk("/other/dom/talk", reader), show });
