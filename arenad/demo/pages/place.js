// Which variant of the arena this page speaks, and which kind of chat its address asks for.

/** What the page's HTML says of its variant: `{name, stream, chain, uploads, ways}`. */
export const variant = JSON.parse(document.getElementById("arena-variant").textContent);

const KINDS = {
  direct: { mode: "direct", modality: "chat", label: "Direct" },
  side_by_side: { mode: "side-by-side", modality: "chat", label: "Side by side" },
  battle: { mode: "battle", modality: "chat", label: "Battle" },
  image: { mode: "direct", modality: "image", label: "Images" },
  search: { mode: "direct", modality: "search", label: "Search" },
};

/** The kinds of chat that this variant has, each with its address. */
export const kinds = Object.entries(variant.ways)
  .filter(([, way]) => way)
  .map(([name, way]) => ({ ...KINDS[name], way }));

/** The kind that the address asks for; a direct chat where it asks for none. */
export function kindHere() {
  const here = new URL(location.href);
  const asked = kinds.filter(({ way }) => {
    const wanted = new URL(way, here);
    const same = [...wanted.searchParams].every(([name, value]) => here.searchParams.get(name) === value);
    return wanted.pathname === here.pathname && same;
  });
  // The address that says most is meant: `…&chat-modality=image` is a direct chat too.
  return asked.sort((one, other) => other.way.length - one.way.length)[0] ?? kinds[0];
}

/** The id of the chat that the address names, or null. */
export function chatHere() {
  const id = /^\/c\/([^/]+)$/.exec(location.pathname)?.[1] ?? null;
  return id === "new" ? null : id;
}

/** Links to every kind of chat, the present one marked. */
export function showWays(list, present) {
  const links = kinds.map(({ way, label }) => {
    const link = document.createElement("a");
    link.href = way;
    link.textContent = label;
    if (way === present.way) link.setAttribute("aria-current", "page");
    const item = document.createElement("li");
    item.append(link);
    return item;
  });
  list.replaceChildren(...links);
}
