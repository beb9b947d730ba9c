/** The OpenAPI document as rows to read. Pure: no DOM, no clock. */

/** @typedef {{ text: string, to?: string, code?: boolean }} Piece a word, perhaps a link or code */
/** @typedef {Record<string, any>} Schema */
/** @typedef {{ name: string, place: string, kind: Piece[], says: Piece[] }} Sent */
/** @typedef {{ status: string, says: Piece[], kind: Piece[], headers: string[] }} Answered */
/** @typedef {{ name: string, kind: Piece[], says: Piece[] }} Row */
/** @typedef {{ id: string, method: string, path: string, title: string, note: Piece[],
 *   sent: Sent[], answered: Answered[] }} Operation */

const SCHEMAS = "#/components/schemas/";
const SAME_AS_GET = "head";

/**
 * What a reference leads to; the value itself where it is none.
 * @param {Schema} document
 * @param {Schema} value
 * @returns {Schema}
 */
export function found(document, value) {
  if (typeof value.$ref !== "string") return value;
  const steps = value.$ref.slice(2).split("/");
  return steps.reduce((/** @type {any} */ at, step) => at[step], document);
}

/**
 * A sentence, with what stands between backticks as code.
 * @param {string} text
 * @returns {Piece[]}
 */
export function sentence(text) {
  return text
    .split("`")
    .map((piece, at) => (at % 2 ? { text: piece, code: true } : { text: piece }))
    .filter((piece) => piece.text !== "");
}

/**
 * What a value may be, in words; what has a shape of its own is a link to it.
 * @param {Schema} schema
 * @returns {Piece[]}
 */
export function kind(schema) {
  if (schema.$ref) {
    const name = schema.$ref.replace(SCHEMAS, "");
    return [{ text: name, to: `shape-${name}` }];
  }
  if (schema.anyOf) return joined(schema.anyOf.map(kind), " or ");
  if (schema.enum) return joined(schema.enum.map(value), " or ");
  if ("const" in schema) return value(schema.const);
  if (schema.type === "array") return listed(schema);
  if (schema.type === "object") return [{ text: "object" }];
  return [{ text: plain(schema) }];
}

/**
 * @param {unknown} given
 * @returns {Piece[]}
 */
function value(given) {
  return [{ text: JSON.stringify(given), code: true }];
}

/** @param {Schema} schema */
function listed(schema) {
  if (schema.maxItems === 0) return [{ text: "empty list" }];
  return [{ text: "list of " }, ...kind(schema.items ?? {})];
}

/** @param {Schema} schema */
function plain(schema) {
  const type = schema.type ?? "anything";
  const bounds = [
    ["at least", schema.minimum ?? schema.minLength],
    ["at most", schema.maximum ?? schema.maxLength],
  ].filter(([, bound]) => bound !== undefined);
  return [type, ...bounds.map(([word, bound]) => `${word} ${bound}`)].join(", ");
}

/**
 * @param {Piece[][]} lists
 * @param {string} between
 * @returns {Piece[]}
 */
function joined(lists, between) {
  return lists.flatMap((list, at) => (at === 0 ? list : [{ text: between }, ...list]));
}

/**
 * Every operation, in the order of the document; what tells no more than GET is left out.
 * @param {Schema} document
 * @returns {Operation[]}
 */
export function operations(document) {
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(/** @type {Schema} */ (methods))
      .filter(([method]) => method !== SAME_AS_GET)
      .map(([method, told]) => ({
        id: told.operationId,
        method: method.toUpperCase(),
        path,
        title: told.summary,
        note: sentence(told.description),
        sent: sent(document, told),
        answered: answered(document, told.responses),
      })),
  );
}

/**
 * @param {Schema} document
 * @param {Schema} told
 * @returns {Sent[]}
 */
function sent(document, told) {
  const bodies = Object.entries(told.requestBody?.content ?? {}).map(([media, content]) => ({
    name: "body",
    place: media,
    kind: kind(/** @type {Schema} */ (content).schema),
    says: sentence(""),
  }));
  const parameters = told.parameters.map((/** @type {Schema} */ given) => {
    const parameter = found(document, given);
    const says = sentence(parameter.description);
    return { name: parameter.name, place: parameter.in, kind: kind(parameter.schema), says };
  });
  return [...bodies, ...parameters];
}

/**
 * @param {Schema} document
 * @param {Schema} responses
 * @returns {Answered[]}
 */
function answered(document, responses) {
  return Object.entries(responses).map(([status, given]) => {
    const response = found(document, given);
    const contents = Object.entries(response.content ?? {}).map(([media, content]) =>
      carried(media, /** @type {Schema} */ (content)),
    );
    return {
      status,
      says: sentence(response.description),
      kind: joined(contents, "; "),
      headers: Object.keys(response.headers ?? {}),
    };
  });
}

/**
 * @param {string} media
 * @param {Schema} content
 * @returns {Piece[]}
 */
function carried(media, content) {
  const events = content["x-event-schema"];
  if (events) {
    const ends = sentence(`; ends with ${content["x-ends-with"]}`);
    return [{ text: `${media}, events: ` }, ...kind(events), ...ends];
  }
  return content.schema ? [{ text: `${media}: ` }, ...kind(content.schema)] : [{ text: media }];
}

/**
 * The fields of a shape; those that must be there say so.
 * @param {Schema} schema
 * @returns {Row[]}
 */
export function rows(schema) {
  const required = new Set(schema.required ?? []);
  return Object.entries(schema.properties ?? {}).map(([name, given]) => {
    const field = /** @type {Schema} */ (given);
    const must = required.has(name) ? [{ text: ", required" }] : [];
    return { name, kind: [...kind(field), ...must], says: sentence(field.description ?? "") };
  });
}
