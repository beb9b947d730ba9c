"""The arena's protocol at different dates, as data: addresses, bodies, ids, landmarks, model list.

Each row is what public programs of that time relied on. `demo` is the arena's own mixture, which
takes every body that one of them takes. No I/O.
"""

from typing import Literal, NamedTuple

import msgspec

from arenad.demo.protocol import CHAIN_FORM, TURN_FORM, Refusal, Rules

Anchor = Literal["initialModels", "initialState", ""]
"""The key behind which a page names its models; "" for a list without any key of its own."""


class Ways(msgspec.Struct, frozen=True):
    """Where a new chat of each kind begins; empty: there was none."""

    direct: str
    side_by_side: str
    battle: str
    image: str = ""
    search: str = ""


class Variant(NamedTuple):
    """One dated form of the protocol and of the page."""

    name: str
    summary: str
    stream: str
    forms: frozenset[int]
    timed_ids: bool
    anchor: Anchor
    ways: Ways
    box_name: str = ""
    uploads: bool = True
    """Whether its page uploads files; else it puts them into the body."""

    edge: tuple[int, int] = (0, 0)
    """Requests and seconds that its edge allows and says in headers; zeros: it says nothing."""

    def rules(self, now_ms: int) -> Rules:
        """What bodies have to keep to at a time, in Unix milliseconds."""
        return Rules(self.forms, now_ms if self.timed_ids else None)


_PATHS_2026 = Ways(
    "/text/direct", "/text/side-by-side", "/text/battle", "/image/direct", "/search/direct"
)
_QUERY_2025 = Ways("/?mode=direct", "/?mode=side-by-side", "/?mode=battle")
_QUERY_LATE = Ways(
    "/c/new?mode=direct",
    "/c/new?mode=side-by-side",
    "/c/new?mode=battle",
    "/c/new?mode=direct&chat-modality=image",
    "/c/new?mode=direct&chat-modality=search",
)
_CHAIN, _TURN = frozenset({CHAIN_FORM}), frozenset({TURN_FORM})

VARIANTS: dict[str, Variant] = {
    each.name: each
    for each in (
        Variant(
            "demo",
            "the arena's own: the paths of today, bodies of both forms, any UUID",
            "/nextjs-api/stream",
            _CHAIN | _TURN,
            timed_ids=False,
            anchor="initialModels",
            ways=_PATHS_2026,
            box_name="text",
        ),
        Variant(
            "2025-07",
            "July 2025: `/api/stream`, the whole chain in each body, models in `initialState`",
            "/api/stream",
            _CHAIN,
            timed_ids=False,
            anchor="initialState",
            ways=_QUERY_2025,
            box_name="text",
            uploads=False,
        ),
        Variant(
            "2025-08",
            "August 2025: as July, but the models stand in the page without a key",
            "/api/stream",
            _CHAIN,
            timed_ids=False,
            anchor="",
            ways=_QUERY_2025,
            box_name="text",
            uploads=False,
        ),
        Variant(
            "2025-09",
            "autumn 2025: `/nextjs-api/stream`, still the whole chain, models in `initialModels`",
            "/nextjs-api/stream",
            _CHAIN,
            timed_ids=False,
            anchor="initialModels",
            ways=_QUERY_LATE,
            box_name="text",
        ),
        Variant(
            "2025-11",
            "since November 2025: only the new turn in a body, UUIDs of version 7 with a true time",
            "/nextjs-api/stream",
            _TURN,
            timed_ids=True,
            anchor="initialModels",
            ways=_QUERY_LATE,
            box_name="text",
            edge=(3000, 300),
        ),
        Variant(
            "2026",
            "2026: the same bodies, pages by path, a text box without a name",
            "/nextjs-api/stream",
            _TURN,
            timed_ids=True,
            anchor="initialModels",
            ways=_PATHS_2026,
            edge=(1800, 300),
        ),
    )
}
"""By name; the first is what the arena speaks unless it is told otherwise."""

DEFAULT = next(iter(VARIANTS))


def named(name: str) -> Variant:
    """The variant of a name. Raises `Refusal` (400) that lists those there are."""
    if name not in VARIANTS:
        raise Refusal(400, "unknown variant", f"{name}: there are {', '.join(VARIANTS)}")
    return VARIANTS[name]


def serves(variant: Variant, path: str) -> bool:
    """Whether a path is one of its pages where a chat begins; `/` always is."""
    ways = msgspec.structs.astuple(variant.ways)
    return path == "/" or any(way.partition("?")[0] == path for way in ways if way)
