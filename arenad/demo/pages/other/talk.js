// One chat page over any transport: from the prompt box to the end of the answer.
//
// A transport is `ask({model, messages, signal})`: an async iterable of `{kind, text}` with kind `text`
// or `reasoning`. `signal` aborts when the stop button is pressed.

import { GrowingText } from "/demo/turns.js";

const NEAR_END_PX = 80;

/** Bring the form below `root` to life. `show(parent)` makes what an answer is shown in. */
export function startTalk({ root, ask, show = showPlain }) {
  const find = (selector) => root.querySelector(selector);
  const page = {
    turns: find("#turns"),
    talk: find("#talk"),
    welcome: find("#welcome"),
    prompt: find("textarea"),
    model: find("#model"),
    send: find("button[type=submit]"),
    stop: find("#stop"),
    status: find("#status"),
  };
  const messages = [];
  let stopping = null;

  async function submit() {
    const prompt = page.prompt.value;
    if (page.send.disabled) return;
    page.prompt.value = "";
    page.welcome.hidden = true;
    messages.push({ role: "user", content: prompt });
    showPrompt(page.turns, prompt);
    stopping = new AbortController();
    weigh();
    page.status.textContent = "Answering…";
    const model = page.model.value;
    const answer = new Answer(page, model, show);
    try {
      const wish = { model, messages, signal: stopping.signal };
      for await (const { kind, text } of ask(wish)) answer.take(kind, text);
      answer.finish("done");
    } catch (error) {
      const stopped = stopping.signal.aborted;
      answer.finish(stopped ? "stopped" : "failed", stopped ? "" : error.message);
    }
    // A failed turn stays in the talk as it is shown: with what came of the answer.
    messages.push({ role: "assistant", content: answer.text });
    stopping = null;
    page.status.textContent = "Answer complete.";
    weigh();
  }

  function weigh() {
    page.send.disabled = stopping !== null || !/\S/.test(page.prompt.value);
    page.stop.hidden = stopping === null;
    page.turns.setAttribute("aria-busy", String(stopping !== null));
  }

  find("#composer").addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  page.prompt.addEventListener("input", weigh);
  page.prompt.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    submit();
  });
  page.stop.addEventListener("click", () => stopping?.abort());
  followEnd(page.talk, page.turns);
  weigh(); // something may have been written before this script ran
}

/** Follow the end of the talk, unless the reader has scrolled away from it. */
function followEnd(talk, turns) {
  let atEnd = true;
  let lastTop = 0;
  const note = () => {
    const { scrollHeight, scrollTop, clientHeight } = talk;
    if (scrollHeight - scrollTop - clientHeight < NEAR_END_PX) atEnd = true;
    else if (scrollTop < lastTop) atEnd = false;
    lastTop = scrollTop;
  };
  talk.addEventListener("scroll", note, { passive: true });
  // Told of each growth at most once a frame, after the layout: to follow then costs no other one.
  new ResizeObserver(() => {
    if (atEnd) talk.scrollTop = talk.scrollHeight;
  }).observe(turns);
}

function showPrompt(turns, text) {
  const turn = made("article", "turn prompt");
  turn.dataset.role = "user";
  turn.append(made("h2", "", "You"), made("div", "text plain", text));
  turns.append(turn);
}

class Answer {
  constructor(page, model, show) {
    this.text = "";
    this.turn = made("article", "turn answer");
    this.turn.dataset.role = "assistant";
    this.turn.dataset.status = "running";
    this.turn.append(made("h2", "", model));
    this.shown = show(this.turn);
    this.reasoning = null;
    page.turns.append(this.turn);
  }

  take(kind, text) {
    if (kind === "text") {
      this.text += text;
      this.shown.append(text);
    } else {
      this.think(text);
    }
  }

  think(text) {
    if (!this.reasoning) {
      const details = made("details", "reasoning");
      const shown = made("div", "text");
      details.append(made("summary", "", "Reasoning"), shown);
      this.reasoning = new GrowingText(shown);
      this.turn.querySelector("h2").after(details);
    }
    this.reasoning.append(text);
  }

  finish(status, alert = "") {
    this.shown.finish?.();
    this.turn.dataset.status = status;
    if (!alert) return;
    const shown = made("p", "", alert);
    shown.setAttribute("role", "alert");
    this.turn.append(shown);
  }
}

/** Text as it is. */
function showPlain(turn) {
  const shown = made("div", "text");
  turn.append(shown);
  return new GrowingText(shown);
}

export function made(kind, className, text) {
  const element = document.createElement(kind);
  element.className = className;
  if (text) element.textContent = text;
  return element;
}
