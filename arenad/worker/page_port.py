"""The port to a page: what the sites' code asks of one, whichever browser shows it.

An engine brings the few acts that are abstract here; how places are looked for, pressed and written
to is the same on each.
"""

import asyncio
import json
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

from arenad.errors import ProfileOutdated
from arenad.schema.profile import Places, StreamRules
from arenad.worker.footing import Gone, Shaken
from arenad.worker.frame_rate import Doing

if TYPE_CHECKING:
    from arenad.worker.sites.guess import Heard
    from arenad.worker.source import Inbox, Source  # which itself stands on our errors

TYPED_CHARS = 2000
"""A longer text is pasted, as a person would."""

WORLDS_TRIED = 3
"""A site may go elsewhere by itself while it is asked something; then the new document is asked."""

_HERE = Path(__file__).parent
_PARTS = ("find.js", "page.js", "files.js", "answer.js")
SCRIPT = "".join((_HERE / name).read_text(encoding="utf-8") for name in _PARTS)

Look = dict[str, Any]
"""What may be seen on a page: `places`, a `text`, or a pattern of its address as `url`."""

Point = tuple[float, float]
"""In CSS pixels from the window's corner."""


class Option(NamedTuple):
    """An option of a list, by its name."""

    list: Places
    name: str


class Way(NamedTuple):
    """How an option is chosen: it is by now; else where to press, if that can be done at once."""

    is_chosen: bool
    point: Point | None


log = logging.getLogger("arenad.page")


class BrowserError(Shaken):
    """The browser refused what it was told."""


class BrowserGone(BrowserError, Gone):
    """The browser, or the page that was meant, is no more."""


class NoReply(BrowserError):
    """The browser, or its page, did not do in time what it was told: it hangs."""


class ScriptFailed(BrowserError):
    """Our own script threw."""


class CutShort(BrowserError):
    """A field of the page holds only the beginning of what was written into it."""

    def __init__(self, told: str, taken: int, given: int) -> None:
        """`taken` of `given` characters."""
        super().__init__(told)
        self.taken = taken
        self.given = given


class Hearing(Protocol):
    """What a page's network brings from a moment on."""

    @property
    def is_under_way(self) -> bool:
        """Whether a request of the page's has not ended."""
        ...

    async def heard(self) -> "list[Heard]":
        """All of it, once what still runs has had a moment to end."""
        ...

    def abandon(self) -> None:
        """Nobody will ask what was heard."""
        ...


class PagePort(ABC):
    """One tab in an isolated context of its own: no cookie, cache or storage is shared or kept."""

    def __init__(self) -> None:
        """A blank page."""
        self.crashed = asyncio.Event()
        self.url = ""
        """Where the page is, as it says itself, scripts that change the address included."""

        self.documents = 0
        """How many documents it has shown so far."""

    # -- what an engine brings ---------------------------------------------------------------------

    @property
    @abstractmethod
    def status(self) -> int:
        """How the site answered the page itself: the HTTP status; 0 before any answer."""

    @property
    @abstractmethod
    def headers(self) -> dict[str, str]:
        """The head of that answer, by names in lower case."""

    @property
    @abstractmethod
    def heard(self) -> int:
        """How often the page has spoken, asked or not."""

    @abstractmethod
    async def close(self) -> None:
        """End the page and its context, and with it all that the site has stored there."""

    @abstractmethod
    async def open(self, url: str) -> None:
        """Go to an address and wait until it has loaded. Raises `BrowserError`."""

    @abstractmethod
    async def calm(self) -> None:
        """Until the page has met its server by what stays open, as far as the engine tells."""

    @abstractmethod
    async def open_empty(self, url: str) -> None:
        """Show an empty document of an address; the site is asked nothing.

        Raises `BrowserError`.
        """

    @abstractmethod
    async def _run(self, script: str) -> object:
        """Run a script in our own world of the page's document, which is made if it has none.

        Raises `ScriptFailed`, `BrowserGone`, `NoReply`, and any other `BrowserError` where the
        document has gone meanwhile.
        """

    @abstractmethod
    def _leave_world(self) -> None:
        """The world may have ended with its document."""

    @abstractmethod
    async def _click(self, x: float, y: float) -> None:
        """Press and release the mouse there, in CSS pixels from the window's corner."""

    @abstractmethod
    async def key(self, name: str) -> None:
        """Press a key, such as `Enter` or `Control+Enter`, on what has the focus."""

    @abstractmethod
    async def type(self, text: str, timeout_s: float) -> None:
        """Type into what has the focus."""

    @abstractmethod
    async def cookies(self) -> list[dict[str, Any]]:
        """Every cookie of the page's context, of whatever address, as `SavedCookie` names them."""

    @abstractmethod
    async def give_cookies(self, cookies: Sequence[dict[str, Any]]) -> None:
        """Put cookies into the page's context."""

    @abstractmethod
    async def give_files(self, script: str, paths: Sequence[str]) -> bool:
        """Put files into the input that a script in our own world gives; whether it gives one."""

    @abstractmethod
    async def choose_files(
        self, press: Callable[[], Awaitable[None]], paths: Sequence[str], timeout_s: float
    ) -> None:
        """Choose files in the dialog that a press opens. Raises `TimeoutError` when none does."""

    @abstractmethod
    async def loaded(self, url: str, most_bytes: int, timeout_s: float) -> bytes:
        """What is at an address, fetched with the page's cookies.

        More than `most_bytes` only where it is too large; empty where the page may not fetch it.
        """

    def unheld(self) -> AbstractContextManager[None]:
        """For so long the network brings what is asked of it, however much is unread.

        An engine that never holds it back has nothing to do for that.
        """
        return nullcontext()

    @abstractmethod
    async def shown_image(self, url: str) -> bytes:
        """The bytes of an image that the page shows; empty where they cannot be had."""

    @abstractmethod
    async def screenshot(self) -> str:
        """A PNG of what is visible, in base64."""

    @abstractmethod
    async def source(self, rules: StreamRules, prompt: str) -> "Source":
        """The page's next answer, read from its network by rules that name a way there."""

    def request(self, rules: StreamRules) -> "Inbox | None":
        """The page's next request like this, without its body; where an engine tells no more."""
        del rules
        return None

    @abstractmethod
    def transcript(self) -> Hearing:
        """Hear all that the network brings from now on."""

    @property
    def is_frozen(self) -> bool:
        """Whether it answers and is not drawn any more, which an engine cures by a new start."""
        return False

    def draw_for(self, doing: Doing) -> None:  # noqa: B027 - an engine may draw by itself
        """Draw the page as often as this needs; as ever, if nobody says so."""

    # -- look --------------------------------------------------------------------------------------

    async def evaluate(self, script: str, timeout_s: float = 10.0) -> object:
        """Run a script in our own world of the page; gives its JSON value, awaited if a promise.

        The world ends with its document; the script is then asked of the next one, so it must not
        matter whether it runs twice. Raises `BrowserError`.
        """
        try:
            async with asyncio.timeout(timeout_s):
                return await self._evaluate(script)
        except TimeoutError as error:
            raise NoReply(f"the page did not answer a script within {timeout_s:g} s") from error

    async def _evaluate(self, script: str) -> object:
        for _ in range(WORLDS_TRIED - 1):
            try:
                return await self._run(script)
            except (BrowserGone, NoReply, ScriptFailed):
                raise
            except BrowserError as error:
                log.debug("the page's document changed (%s); asking the new one", error)
                self._leave_world()
        return await self._run(script)

    async def _ask(self, function: str, places: Places, timeout_s: float) -> object:
        call = f"arenad.{function}({_json(places)}, {int(timeout_s * 1000)})"
        return await self.evaluate(call, timeout_s + 5.0)

    async def html(self) -> str:
        """The page's markup as it stands."""
        return str(await self.evaluate("document.documentElement.outerHTML"))

    async def json_at(self, path: str, timeout_s: float) -> object:
        """What the site has at an address of its own, asked with the page's cookies."""
        asked = f"fetch({json.dumps(path)}).then((response) => response.json())"
        return await self.evaluate(asked, timeout_s)

    async def names(self, places: Places) -> list[str]:
        """The names that elements show, of the first selector that has any."""
        return cast("list[str]", await self.evaluate(f"arenad.names({_json(places)})"))

    async def is_usable(self, places: Places) -> bool:
        """Whether the element is there, visible and enabled, right now."""
        return bool(await self.evaluate(f"!!arenad.usable({_json(places)})"))

    async def way_to(self, chosen: Places, option: Option) -> Way:
        """How to choose this; nothing is to be done where `chosen` shows that it is.

        In a native list it is chosen at once, as the keyboard would.
        """
        places = f"{_json(chosen)}, {_json(option.list)}"
        found = await self.evaluate(f"arenad.wayTo({places}, {json.dumps(option.name)})")
        return Way(*cast("tuple[bool, Point | None]", found))

    async def place(self, places: Places) -> int:
        """The number of the selector that has a usable element right now; -1 if none has."""
        found = await self.evaluate(f"arenad.place({_json(places)})")
        return int(cast("float", found))

    async def is_gone(self, places: Places, timeout_s: float) -> bool:
        """Whether within this time no such element is visible any more."""
        return bool(await self._ask("gone", places, timeout_s))

    async def wait_for(self, name: str, places: Places, timeout_s: float) -> None:
        """Wait until a landmark is usable. Raises `ProfileOutdated` naming it."""
        if not await self._ask("has", places, timeout_s):
            raise ProfileOutdated(_missing(name, places, timeout_s))

    async def wait_gone(self, name: str, places: Places, timeout_s: float) -> None:
        """Wait until a landmark has left. Raises `ProfileOutdated` naming it."""
        if not await self.is_gone(places, timeout_s):
            stays = f"stays longer than {timeout_s:g} s"
            raise ProfileOutdated(f"the landmark {name} ({_shown(places)}) {stays}")

    async def first(self, looks: Sequence[Look], timeout_s: float) -> int:
        """The number of the first look that sees something, once one does; -1 when none did."""
        asked = [{key: value for key, value in look.items() if value} for look in looks]
        call = f"arenad.first({json.dumps(asked)}, {int(timeout_s * 1000)})"
        return int(cast("float", await self.evaluate(call, timeout_s + 5.0)))

    # -- act ---------------------------------------------------------------------------------------

    async def press(self, name: str, places: Places, timeout_s: float) -> None:
        """Press a landmark with the mouse, as a person would. Raises `ProfileOutdated`, naming it.

        Once it is pressed it is also released: a cancel finds it either untouched or clicked.
        """
        point = await self._ask("point", places, timeout_s)
        if not isinstance(point, list):
            why = f"the landmark {name} ({_shown(places)}) is {point}"
            raise ProfileOutdated(why if point else _missing(name, places, timeout_s))
        await self.press_at(cast("Point", point))

    async def press_at(self, point: Point) -> None:
        """Press where the page has just said that something is to be pressed."""
        await self._click(*point)

    async def write(self, name: str, places: Places, text: str, timeout_s: float) -> None:
        """Replace a field's text. Raises `ProfileOutdated` when it is gone or holds another.

        Raises `CutShort` when it holds only the beginning.
        """
        await self.write_to_send((name, places), text, timeout_s, (), ())

    async def write_to_send(
        self,
        field: tuple[str, Places],
        text: str,
        timeout_s: float,
        lists: Sequence[Option],
        send: Places,
    ) -> Point | None:
        """Write as `write` does; gives where `send` is to be pressed, if it can be at once.

        The options of those `lists` that are native are chosen again: a link to a new chat may
        bring its document, with choices of its own, only after they were made in the old one.
        """
        name, places = field
        if not await self._ask("focus", places, timeout_s):
            raise ProfileOutdated(_missing(name, places, timeout_s))
        is_pasted = len(text) > TYPED_CHARS
        if is_pasted:
            paste = f"arenad.paste({_json(places)}, {json.dumps(text)})"
            await self.evaluate(paste, timeout_s)
        else:
            await self.type(text, timeout_s)
        own = f"{_json(places)}, {json.dumps(text)}, {json.dumps(is_pasted)}"
        chosen = json.dumps([[selectors(each.list), each.name] for each in lists])
        look = f"arenad.sendable({own}, {chosen}, {_json(send)})"
        found = await self.evaluate(look, timeout_s)
        (taken, given, is_beginning), point = cast("_Written", found)
        told = f"the landmark {name} ({_shown(places)}) took {taken} of {given} characters"
        if is_beginning and taken < given:
            raise CutShort(told, taken, given)
        if taken != given:
            raise ProfileOutdated(told)
        return point


_Written = tuple[tuple[int, int, bool], Point | None]


def selectors(places: Places) -> tuple[str, ...]:
    """The selectors of a place, in order."""
    return (places,) if isinstance(places, str) else places


def _json(places: Places) -> str:
    return json.dumps(selectors(places))


def _shown(places: Places) -> str:
    return " or ".join(selectors(places))


def _missing(name: str, places: Places, timeout_s: float) -> str:
    return f"the landmark {name} ({_shown(places)}) is not on the page, not within {timeout_s:g} s"
