/** Shows the OpenAPI document: what can be asked, what is answered, and every shape of it. */

import { operations, rows, sentence } from "./shapes.js";

/** @typedef {import("./shapes.js").Piece} Piece */
/** @typedef {import("./shapes.js").Operation} Operation */
/** @typedef {import("./shapes.js").Schema} Schema */

const DEADLINE_MS = 15_000;

/**
 * @param {string} id
 * @returns {HTMLElement}
 */
function at(id) {
  return /** @type {HTMLElement} */ (document.getElementById(id));
}

/**
 * @param {Element} whole
 * @param {string} name
 * @returns {HTMLElement}
 */
function part(whole, name) {
  return /** @type {HTMLElement} */ (whole.querySelector(`[data-part="${name}"]`));
}

/**
 * A new copy of what a template holds.
 * @param {string} id
 * @param {string} name the copy's own id
 */
function copied(id, name) {
  const template = /** @type {HTMLTemplateElement} */ (at(id));
  const copy = /** @type {HTMLElement} */ (template.content.firstElementChild?.cloneNode(true));
  copy.id = name;
  return copy;
}

/**
 * @param {Piece} piece
 * @returns {Node}
 */
function shown(piece) {
  if (piece.to !== undefined) return linked(piece.to, piece.text);
  return piece.code ? coded(piece.text) : document.createTextNode(piece.text);
}

/** @param {string} text */
function coded(text) {
  const code = document.createElement("code");
  code.textContent = text;
  return code;
}

/**
 * @param {string} to
 * @param {string} text
 */
function linked(to, text) {
  const link = document.createElement("a");
  link.href = `#${to}`;
  link.append(coded(text));
  return link;
}

/**
 * A row of a table: its head, then its cells.
 * @param {string} head
 * @param {Piece[][]} cells
 */
function row(head, cells) {
  const whole = document.createElement("tr");
  const first = document.createElement("th");
  first.scope = "row";
  first.append(coded(head));
  whole.append(first);
  for (const cell of cells) {
    const next = document.createElement("td");
    next.append(...cell.map(shown));
    whole.append(next);
  }
  return whole;
}

/** @param {string[]} names */
function named(names) {
  return names.flatMap((name, place) => {
    const piece = { text: name, code: true };
    return place === 0 ? [piece] : [{ text: ", " }, piece];
  });
}

/** @param {Operation} operation */
function showOperation(operation) {
  const article = copied("operation", operation.id);
  const name = `${operation.method} ${operation.path}`;
  part(article, "method").textContent = operation.method;
  part(article, "path").textContent = operation.path;
  part(article, "title").textContent = operation.title;
  part(article, "note").append(...operation.note.map(shown));
  part(article, "sent-box").ariaLabel = `What ${name} takes`;
  part(article, "sent").append(
    ...operation.sent.map((each) => row(each.name, [[{ text: each.place }], each.kind, each.says])),
  );
  part(article, "answered-box").ariaLabel = `What ${name} answers`;
  part(article, "answered").append(
    ...operation.answered.map((each) => row(each.status, [each.says, each.kind, named(each.headers)])),
  );
  at("operations").append(article);
  const entry = document.createElement("li");
  entry.append(linked(operation.id, name));
  at("contents").append(entry);
}

/**
 * @param {string} name
 * @param {Schema} schema
 */
function showShape(name, schema) {
  const article = copied("shape", `shape-${name}`);
  part(article, "name").textContent = name;
  part(article, "note").append(...sentence(schema.description ?? "").map(shown));
  part(article, "fields-box").ariaLabel = `Fields of ${name}`;
  part(article, "fields").append(...rows(schema).map((each) => row(each.name, [each.kind, each.says])));
  at("shapes").append(article);
}

async function read() {
  const answer = await fetch("/openapi.json", { signal: AbortSignal.timeout(DEADLINE_MS) });
  if (!answer.ok) throw new Error(`the answer was ${answer.status}`);
  return answer.json();
}

async function show() {
  const told = await read();
  at("version").textContent = told.info.version;
  operations(told).forEach(showOperation);
  for (const [name, schema] of Object.entries(told.components.schemas)) showShape(name, schema);
  at("standing").hidden = true;
  if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

show().catch((/** @type {Error} */ error) => {
  at("standing").textContent = `openapi.json cannot be read: ${error.message}`;
});
