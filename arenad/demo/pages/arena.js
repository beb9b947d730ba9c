// The page: one chat at a time, from the prompt box to the end of the answers.

import { Attachments } from "./files.js";
import { askForTerms, loginLink, passCheck, wantsCheck, wantsLogin } from "./person.js";
import { Picker } from "./picker.js";
import { chatHere, kindHere, showWays, variant } from "./place.js";
import { Sides } from "./sides.js";
import { choiceBar, showAlert, showPrompt } from "./turns.js";
import { ask, askAgain, askSkip, askStop, embeddedModels, message, refusal, uuid7, vote } from "./wire.js";

const NEAR_END_PX = 80;
const BROKEN = "The answer broke off.";
const ANONYMOUS = ["Model A", "Model B"];
const VOTES = [["A is better", "a"], ["B is better", "b"], ["It’s a tie", "tie"], ["Both are bad", "bad"]];

const page = {
  talk: document.getElementById("talk"),
  turns: document.getElementById("turns"),
  welcome: document.getElementById("welcome"),
  composer: document.getElementById("composer"),
  prompt: document.querySelector("textarea"),
  send: document.querySelector('button[type="submit"]'),
  stop: document.getElementById("stop"),
  status: document.getElementById("status"),
  terms: document.getElementById("terms"),
  check: document.getElementById("check"),
  pickers: document.getElementById("pickers"),
  newChat: document.querySelector(".new-chat"),
};

const { models, first } = embeddedModels(document.getElementById("arena-payload"));
const files = new Attachments({
  list: document.getElementById("attached"),
  input: document.getElementById("files"),
  prompt: page.prompt,
  changed: weighPrompt,
  told: (text) => showAlert(page.turns, text),
});

let kind = kindHere();
let pickers = [];

/** The chat that is shown. A new one is a new value: what the old one still does finds itself gone. */
let chat = emptyChat(null);

function emptyChat(id) {
  return { id, leaving: new AbortController(), sides: null, history: [], busy: false, stopWanted: false, open: false };
}

// -- one turn -------------------------------------------------------------------------------------

function submit() {
  const prompt = page.prompt.value;
  if (page.send.disabled) return;
  const create = chat.id === null;
  if (create) chat.id = uuid7();
  const sides = chosenSides();
  const attachments = files.take();
  const userMessage = uuid7();
  const wish = {
    chat: chat.id,
    create,
    mode: kind.mode,
    modality: modalityOf(sides[0].model),
    sides,
    userMessage,
    prompt,
    attachments,
    history: extendHistory(userMessage, prompt, attachments, sides),
    signal: chat.leaving.signal,
  };
  page.prompt.value = "";
  showPrompt(page.turns, prompt, attachments);
  perform(() => ask(wish), sides).then((accepted) => {
    if (accepted || chat.id !== wish.chat) return;
    // Nothing is lost: the words go back into the box, and a chat that was refused does not exist.
    if (create) chat.id = null;
    if (variant.chain) chat.history = chat.history.slice(0, -1 - sides.length);
    page.prompt.value ||= prompt;
    weighPrompt();
  });
}

function chosenSides() {
  const count = kind.mode === "direct" ? 1 : 2;
  return Array.from({ length: count }, (_, place) => {
    const model = pickers[place]?.chosen ?? null;
    return { model, name: model ? nameOf(model) : ANONYMOUS[place], message: uuid7() };
  });
}

/** The kind of a chat follows from what its model gives; where there is none, from the page. */
function modalityOf(id) {
  const given = models.find((model) => model.id === id)?.capabilities?.outputCapabilities;
  if (!given) return kind.modality;
  return given.image ? "image" : given.search ? "search" : "chat";
}

/** The messages of the chat with a new turn, whose answers are to be filled; kept only where bodies bring them. */
function extendHistory(userMessage, prompt, attachments, sides) {
  if (!variant.chain) return [];
  const past = chat.history;
  const newest = past.filter((each) => each.role === "assistant").slice(-sides.length);
  const parents = newest.map((each) => each.id);
  const asked = { id: userMessage, role: "user", content: prompt, parents, status: "pending", attachments };
  const answers = sides.map(({ model, message: id }, place) => {
    const side = "ab"[place];
    return { id, role: "assistant", content: "", model, side, parents: [userMessage], status: "pending" };
  });
  chat.history = [...past, ...[asked, ...answers].map((each) => message(chat.id, each))];
  return chat.history;
}

function regenerate(sides) {
  if (chat.busy) return;
  const { model, message: id } = sides[0];
  const wish = { chat: chat.id, message: id, model, signal: chat.leaving.signal };
  chat.sides.remove();
  perform(() => askAgain(wish), sides);
}

/** Perform a request and show its answers; resolves to whether the site took the request. */
async function perform(request, sides) {
  const own = chat;
  atEnd = true;
  own.sides = new Sides(page.turns, sides);
  own.stopWanted = false;
  setBusy(own, true);
  let accepted = false;
  try {
    const response = await admitted(request);
    accepted = true;
    if (own === chat) showOwnAddress();
    // The wish to stop may have been there before the answer it was for.
    if (own.stopWanted) askStop({ chat: own.id, message: sides[0].message });
    await own.sides.receive(response);
  } catch (error) {
    if (own !== chat) return accepted;
    const parts = wantsLogin(error) ? [" ", loginLink()] : [];
    own.sides.first.alert(accepted ? BROKEN : error.message || "The connection was lost.", ...parts);
  }
  if (own === chat) finish(own, sides, accepted);
  return accepted;
}

/** The response to a request that was taken, after a check if one is wanted. Throws `Refused`. */
async function admitted(request) {
  const response = await request();
  if (response.ok) return response;
  const refused = await refusal(response);
  if (!wantsCheck(refused)) throw refused;
  await passCheck(page.check);
  return admitted(request);
}

function finish(own, sides, accepted) {
  let whole = accepted;
  for (const answer of own.sides.answers) {
    const status = accepted ? own.sides.statusOf(answer) : "failed";
    const alerted = answer.turn.querySelector("[role=alert]");
    if (status === "cut" && !alerted) answer.alert(BROKEN);
    const again = accepted && own.sides.answers.length === 1 ? () => regenerate(sides) : null;
    keepText(own, answer);
    answer.finish(status, again);
    whole &&= status === "done";
  }
  if (accepted && own.sides.answers.length > 1) offerChoice(own, sides);
  setBusy(own, false);
  page.status.textContent = whole ? "Answer complete." : "The answer ended early.";
}

function keepText(own, answer) {
  const kept = own.history.find((each) => each.id === answer.message);
  if (kept) Object.assign(kept, { content: answer.shown.textContent, status: "success" });
}

/** Below two answers: a vote between strangers; a way on where one answer was asked for. */
function offerChoice(own, sides) {
  const { room, answers } = own.sides;
  if (sides.length === 1) {
    own.open = true;
    const [a, b] = answers.map((answer) => answer.message);
    const skip = async () => {
      await askSkip({ chat: own.id, first: a, second: b });
      bar.remove();
      answers[1].remove();
      own.open = false;
      weighPrompt();
    };
    const bar = choiceBar(room, "Two answers", [["Skip", skip]]);
  } else if (sides[0].model === null) {
    const cast = async (choice) => {
      const told = await vote({ chat: own.id, choice });
      for (const answer of answers) answer.heading = nameOf(told.messages.find((each) => each.id === answer.message).modelId);
      bar.remove();
    };
    const bar = choiceBar(room, "Your vote", VOTES.map(([label, choice]) => [label, () => cast(choice)]));
  }
}

function showOwnAddress() {
  const path = `/c/${chat.id}`;
  if (location.pathname !== path) history.pushState(null, "", path);
}

function stop() {
  if (!chat.busy) return;
  chat.stopWanted = true;
  askStop({ chat: chat.id, message: chat.sides.first.message }).catch(() => {
    // The answer shows by itself that the site is gone.
  });
}

// -- which chat -----------------------------------------------------------------------------------

function leaveFor(id, next) {
  chat.leaving.abort();
  chat = emptyChat(id);
  kind = next;
  page.turns.replaceChildren();
  atEnd = true;
  page.prompt.value = "";
  files.take();
  showKind();
  setBusy(chat, false);
  page.status.textContent = "";
}

/** The pickers, the links and the way to a new chat that belong to the kind of this one. */
function showKind() {
  page.pickers.replaceChildren();
  const suited = models.find((model) => modalityOf(model.id) === kind.modality)?.id ?? first;
  const begin = kind.modality === "chat" ? first : suited;
  const labels = { direct: ["Model"], "side-by-side": ANONYMOUS, battle: [] }[kind.mode];
  pickers = labels.map((label, place) => {
    const chosen = place ? (models.find((model) => model.id !== begin)?.id ?? begin) : begin;
    return new Picker({ root: page.pickers, label, models, first: chosen });
  });
  page.newChat.href = kind.way;
  showWays(document.getElementById("ways"), kind);
}

function nameOf(id) {
  return models.find((model) => model.id === id)?.publicName ?? "unknown model";
}

function newChat() {
  leaveFor(null, kind);
  if (location.pathname + location.search !== kind.way) history.pushState(null, "", kind.way);
  page.prompt.focus();
}

/** Show the chat that the address names. */
async function showAddress() {
  const id = chatHere();
  leaveFor(id, kindHere());
  if (id === null) return;
  const own = chat;
  setBusy(own, true);
  try {
    const response = await fetch(`/api/evaluation/${id}`, { signal: own.leaving.signal });
    if (!response.ok) throw await refusal(response);
    const past = await response.json();
    if (own === chat) showPast(past);
  } catch (error) {
    if (own !== chat) return;
    own.id = null; // what is written next begins a new chat
    showAlert(page.turns, error.message, ...(wantsLogin(error) ? [" ", loginLink()] : []));
  }
  if (own === chat) setBusy(own, false);
}

function showPast({ mode, modality, messages }) {
  kind = { ...kind, mode: mode === "direct-battle" ? "direct" : mode, modality };
  showKind();
  if (variant.chain) chat.history = messages;
  for (let at = 0; at < messages.length; ) {
    const end = messages.findIndex((each, place) => place > at && each.role !== "assistant");
    const group = messages.slice(at, end < 0 ? messages.length : end);
    at += group.length;
    showPastTurn(group, at === messages.length ? mode : "");
  }
}

/** Show a message and its answers. `mode` is the chat's where they are the newest, so that one may choose. */
function showPastTurn(group, mode) {
  const [asked] = group.filter((each) => each.role === "user");
  if (asked) showPrompt(page.turns, asked.content, asked.experimental_attachments);
  const past = group.filter((each) => each.role === "assistant");
  if (!past.length) return;
  const sides = past.map(({ id, modelId }, place) => {
    return { message: id, model: modelId, name: modelId ? nameOf(modelId) : ANONYMOUS[place] };
  });
  chat.sides = new Sides(page.turns, sides);
  for (const [place, answer] of chat.sides.answers.entries()) {
    if (past[place].reasoning) answer.think(past[place].reasoning);
    for (const { url } of past[place].experimental_attachments) answer.draw(url);
    answer.append(past[place].content);
    answer.finish("done", past.length === 1 ? () => regenerate(sides) : null);
    if (past[place].modelId) pickers[place]?.choose(past[place].modelId);
  }
  if (mode === "direct-battle") offerChoice(chat, sides.slice(0, 1));
  if (mode === "battle") offerChoice(chat, sides);
}

// -- the page's state -----------------------------------------------------------------------------

function setBusy(own, busy) {
  own.busy = busy;
  page.stop.hidden = !(busy && own.sides);
  page.turns.setAttribute("aria-busy", String(busy));
  page.welcome.hidden = own.id !== null || page.turns.childElementCount > 0;
  if (busy) page.status.textContent = "Answering…";
  weighPrompt();
}

function weighPrompt() {
  page.send.disabled = chat.busy || chat.open || files.busy || !/\S/.test(page.prompt.value);
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
page.newChat.addEventListener("click", (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  newChat();
});
page.welcome.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-opener]");
  if (!opener) return;
  pickers[0]?.chooseByName(opener.dataset.opener);
  page.prompt.value = opener.dataset.prompt;
  weighPrompt();
  page.prompt.focus();
});
// Told of each growth at most once a frame, after the layout: to follow then costs no other one.
new ResizeObserver(follow).observe(page.turns);
page.talk.addEventListener("scroll", noteScroll, { passive: true });
addEventListener("popstate", showAddress);

askForTerms(page.terms, page.prompt);
// What was written before this script ran is kept.
const early = page.prompt.value;
showAddress();
page.prompt.value = early;
weighPrompt();
