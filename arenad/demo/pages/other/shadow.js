// The whole page in a shadow root, each answer's text in one of its own.

import { askForChunks } from "./chunks.js";
import { made, startTalk } from "./talk.js";
import { GrowingText } from "/demo/turns.js";

function sheets() {
  return ["/demo/arena.css", "/other/parts/other.css"].map((href) => {
    const link = document.createElement("link");
    link.rel = "stylesheet";
    link.href = href;
    return link;
  });
}

class ChatApp extends HTMLElement {
  connectedCallback() {
    const root = this.attachShadow({ mode: "open" });
    root.append(...sheets(), document.getElementById("form").content.cloneNode(true));
    startTalk({ root, ask: askForChunks, show });
    root.querySelector("textarea").focus();
  }
}

function show(turn) {
  return turn.appendChild(document.createElement("chat-answer")).text;
}

class ChatAnswer extends HTMLElement {
  constructor() {
    super();
    const shown = made("div", "text");
    this.attachShadow({ mode: "open" }).append(...sheets(), shown);
    this.text = new GrowingText(shown);
  }
}

// In this order: an app that is there already comes to life at once.
customElements.define("chat-answer", ChatAnswer);
customElements.define("chat-app", ChatApp);
