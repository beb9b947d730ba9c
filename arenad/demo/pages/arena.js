// The page: one chat at a time, from the prompt box to the end of the answer.

import { Picker } from "./picker.js";
import { Answer, showAlert, showPrompt } from "./turns.js";
import { ask, askAgain, askStop, embeddedModels, readLines, refusal, uuid7 } from "./wire.js";

const TERMS_KEY = "arena-terms-agreed";
const NEAR_END_PX = 80;

const page = {
  talk: document.getElementById("talk"),
  turns: document.getElementById("turns"),
  welcome: document.getElementById("welcome"),
  composer: document.getElementById("composer"),
  prompt: document.querySelector('textarea[name="text"]'),
  send: document.querySelector('button[type="submit"]'),
  stop: document.getElementById("stop"),
  status: document.getElementById("status"),
  terms: document.getElementById("terms"),
};

const { models, first } = embeddedModels(document.getElementById("arena-payload"));
const picker = new Picker(models, first);

/** The chat that is shown. A new one is a new value: what the old one still does finds itself gone. */
let chat = emptyChat(null);

function emptyChat(id) {
  return { id, leaving: new AbortController(), answer: null, busy: false, stopWanted: false };
}

// -- one turn -------------------------------------------------------------------------------------

function submit() {
  const prompt = page.prompt.value;
  if (page.send.disabled) return;
  const create = chat.id === null;
  if (create) chat.id = uuid7();
  const answerMessage = uuid7();
  const wish = {
    chat: chat.id,
    create,
    model: picker.chosen,
    userMessage: uuid7(),
    answerMessage,
    prompt,
    signal: chat.leaving.signal,
  };
  page.prompt.value = "";
  showPrompt(page.turns, prompt);
  perform(() => ask(wish), answerMessage, wish.model).then((accepted) => {
    if (accepted || chat.id !== wish.chat) return;
    // Nothing is lost: the words go back into the box, and a chat that was refused does not exist.
    if (create) chat.id = null;
    page.prompt.value ||= prompt;
    weighPrompt();
  });
}

function regenerate(answer, model) {
  if (chat.busy) return;
  const wish = { chat: chat.id, message: answer.message, model, signal: chat.leaving.signal };
  answer.remove();
  perform(() => askAgain(wish), wish.message, model);
}

/** Perform a request and show its answer; resolves to whether the site took the request. */
async function perform(request, message, model) {
  const own = chat;
  atEnd = true;
  const answer = new Answer(page.turns, picker.nameOf(model), message);
  own.answer = answer;
  own.stopWanted = false;
  setBusy(own, true);
  let accepted = false;
  let status = "failed";
  try {
    const response = await request();
    if (!response.ok) throw new Error(await refusal(response));
    accepted = true;
    if (own === chat) showOwnAddress();
    // The wish to stop may have been there before the answer it was for.
    if (own.stopWanted) askStop({ chat: own.id, message });
    status = await receive(response, answer);
  } catch (error) {
    if (own !== chat) return accepted;
    answer.alert(error.message || "The connection was lost.");
  }
  if (own !== chat) return accepted;
  answer.finish(status, accepted ? () => regenerate(answer, model) : null);
  setBusy(own, false);
  page.status.textContent = status === "done" ? "Answer complete." : "The answer ended early.";
  return accepted;
}

function showOwnAddress() {
  const path = `/c/${chat.id}`;
  if (location.pathname !== path) history.pushState(null, "", path);
}

/** Show a response as it comes; resolves to how it ended. */
async function receive(response, answer) {
  let status = "cut";
  for await (const lines of readLines(response)) {
    const text = join(lines, "0");
    const thought = join(lines, "g");
    if (thought) answer.think(thought);
    if (text) answer.append(text);
    for (const { code, value } of lines) {
      if (code === "3") answer.alert(String(value));
      if (code === "d") status = "done";
    }
  }
  if (status === "cut") answer.alert("The answer broke off.");
  return status;
}

function join(lines, code) {
  const own = lines.filter((line) => line.side === "a" && line.code === code);
  return own.map((line) => (typeof line.value === "string" ? line.value : "")).join("");
}

function stop() {
  if (!chat.busy) return;
  chat.stopWanted = true;
  askStop({ chat: chat.id, message: chat.answer.message }).catch(() => {
    // The answer shows by itself that the site is gone.
  });
}

// -- which chat -----------------------------------------------------------------------------------

function leaveFor(id) {
  chat.leaving.abort();
  chat = emptyChat(id);
  page.turns.replaceChildren();
  atEnd = true;
  page.prompt.value = "";
  picker.reset();
  setBusy(chat, false);
  page.status.textContent = "";
}

function newChat() {
  leaveFor(null);
  if (location.pathname !== "/text/direct") history.pushState(null, "", "/text/direct");
  page.prompt.focus();
}

/** Show the chat that the address names. */
async function showAddress() {
  const id = /^\/c\/([^/]+)$/.exec(location.pathname)?.[1] ?? null;
  leaveFor(id);
  if (id === null) return;
  const own = chat;
  setBusy(own, true);
  try {
    const response = await fetch(`/api/evaluation/${id}`, { signal: own.leaving.signal });
    if (!response.ok) throw new Error(await refusal(response));
    const past = await response.json();
    if (own === chat) showPast(past.messages);
  } catch (error) {
    if (own !== chat) return;
    own.id = null; // what is written next begins a new chat
    showAlert(page.turns, error.message);
  }
  if (own === chat) setBusy(own, false);
}

function showPast(messages) {
  for (const message of messages) {
    if (message.role === "user") showPrompt(page.turns, message.content);
    if (message.role !== "assistant") continue;
    const answer = new Answer(page.turns, picker.nameOf(message.modelId), message.id);
    if (message.reasoning) answer.think(message.reasoning);
    answer.append(message.content);
    answer.finish("done", () => regenerate(answer, message.modelId));
    if (message.modelId) picker.choose(message.modelId);
  }
}

// -- the page's state -----------------------------------------------------------------------------

function setBusy(own, busy) {
  own.busy = busy;
  page.stop.hidden = !(busy && own.answer);
  page.turns.setAttribute("aria-busy", String(busy));
  page.welcome.hidden = own.id !== null || page.turns.childElementCount > 0;
  if (busy) page.status.textContent = "Answering…";
  weighPrompt();
}

function weighPrompt() {
  page.send.disabled = chat.busy || !/\S/.test(page.prompt.value);
}

let atEnd = true;
let lastTop = 0;

/** Follow the end of the talk, unless the reader has scrolled away from it. */
function follow() {
  if (atEnd) page.talk.scrollTop = page.talk.scrollHeight;
}

/** Only a scroll upwards leaves the end: the text may have grown since the page itself scrolled. */
function noteScroll() {
  const { scrollHeight, scrollTop, clientHeight } = page.talk;
  if (scrollHeight - scrollTop - clientHeight < NEAR_END_PX) atEnd = true;
  else if (scrollTop < lastTop) atEnd = false;
  lastTop = scrollTop;
}

function askForTerms() {
  if (localStorage.getItem(TERMS_KEY)) return;
  page.terms.addEventListener("cancel", (event) => event.preventDefault());
  document.getElementById("agree").addEventListener("click", () => {
    localStorage.setItem(TERMS_KEY, "1");
    page.terms.close();
    page.prompt.focus();
  });
  page.terms.showModal();
}

page.composer.addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
});
page.prompt.addEventListener("input", weighPrompt);
page.prompt.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  submit();
});
page.stop.addEventListener("click", stop);
document.querySelector(".new-chat").addEventListener("click", (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  newChat();
});
page.welcome.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-opener]");
  if (!opener) return;
  picker.chooseByName(opener.dataset.opener);
  page.prompt.value = opener.dataset.prompt;
  weighPrompt();
  page.prompt.focus();
});
// Told of each growth at most once a frame, after the layout: to follow then costs no other one.
new ResizeObserver(follow).observe(page.turns);
page.talk.addEventListener("scroll", noteScroll, { passive: true });
addEventListener("popstate", showAddress);

askForTerms();
showAddress();
