"""Drives a page by its profile: opens, agrees to dialogs, chooses, writes, sends; sees the signs.

All that is known of a page is in the profile; here is only how its words are carried out. Whatever
keeps a chat from beginning is raised as the error that a client would get, with its sign's name.
"""

import re
from collections.abc import Sequence
from urllib.parse import quote, unquote, urljoin

from arenad import errors
from arenad.errors import ChatFull, ProfileOutdated, RequestError, Resting, UpstreamFailed
from arenad.log import wall_time_s
from arenad.schema.process import Model
from arenad.schema.profile import Places, Profile, Sign, Step
from arenad.worker.page_port import (
    BrowserError,
    CutShort,
    Look,
    Option,
    PagePort,
    Point,
    selectors,
)
from arenad.worker.sites.catalog import models_in, models_named, models_of, with_aliases
from arenad.worker.sites.patience import asked_rest_s

LANDMARK_TIMEOUT_S = 10.0
MODELS_TIMEOUT_S = 10.0
MAX_DIALOGS = 5
"""Dialogs that a page may show one after another when it opens."""

SIGN_S = 0.3
"""A page that was refused something gets so long to show what it wants instead."""

MAX_SESSION_CHARS = 200

HTTP_ERROR = 400
REFUSALS = (403, 429)
SERVER_ERROR = 500


def with_model(places: Places, model: str) -> tuple[str, ...]:
    """The place for this model; quotes are escaped as CSS strings want it."""
    escaped = model.replace("\\", "\\\\").replace('"', '\\"')
    return tuple(selector.replace("{model}", escaped) for selector in selectors(places))


class Driver:
    """One page on one site."""

    def __init__(self, page: PagePort, profile: Profile, url: str) -> None:
        """`url` is the site's address, to which the profile's start path belongs."""
        self._page = page
        self.profile = profile
        self._marks = profile.landmarks
        self._chosen: dict[str, Option] = {}
        self._send_at: Point | None = None
        self._base = url
        self._url = urljoin(url, profile.start_path)
        before, place, after = profile.conversation.path.partition("{session}")
        pattern = f"{re.escape(before)}([^/?#]+){re.escape(after)}"
        self._chat_path = re.compile(pattern) if place else None

    # -- open and look -----------------------------------------------------------------------------

    async def open(self) -> None:
        """Open the start page and wait for its prompt. Raises a `RequestError`, `BrowserError`."""
        await self.goto()
        await self.look(LANDMARK_TIMEOUT_S)
        await self._page.calm()

    async def goto(self) -> None:
        """Open the start page and carry out the steps that belong to that."""
        await self._page.open(self._url)
        await self._perform("opening", self.profile.opening)

    async def look(self, timeout_s: float) -> None:
        """See that a chat can begin, and agree to dialogs. Raises what keeps it from beginning.

        Nothing is loaded and nothing but the profile's own dialogs is pressed, so this may be done
        at any time. A text is a sign only where there is no prompt: what stands in a chat is none.
        """
        signs = self.profile.signs.items()
        first = [(name, sign) for name, sign in signs if not sign.text]
        last = [(name, sign) for name, sign in signs if sign.text]
        dialogs = self.profile.dismiss
        looks = [*(_look(sign) for _, sign in first), *({"places": [each]} for each in dialogs)]
        looks += [{"places": selectors(self._marks.prompt)}, *(_look(sign) for _, sign in last)]
        prompt_at = len(first) + len(dialogs)
        for _ in range(MAX_DIALOGS + 1):
            at = await self._page.first(looks, timeout_s)
            if at == prompt_at:
                return
            if at < 0:
                raise self._without_prompt(timeout_s)
            if at < len(first):
                raise _error_of(*first[at])
            if at > prompt_at:
                raise _error_of(*last[at - prompt_at - 1])
            await self._page.press("dismiss", dialogs[at - len(first)], LANDMARK_TIMEOUT_S)
        raise ProfileOutdated(f"the landmark dismiss: more than {MAX_DIALOGS} dialogs show")

    def _without_prompt(self, timeout_s: float) -> RequestError:
        status = self._page.status
        if status in REFUSALS or status >= SERVER_ERROR:
            rest_s = asked_rest_s(self._page.headers, wall_time_s())
            return Resting(f"the site answered its page with {status}", retry_after_s=rest_s)
        if status >= HTTP_ERROR:
            return ProfileOutdated(
                f"the landmark start_path: {self._url} was answered with {status}"
            )
        shown = " or ".join(selectors(self._marks.prompt))
        why = f"is not on the page, not within {timeout_s:g} s"
        return ProfileOutdated(f"the landmark prompt ({shown}) {why}")

    async def explained(self, error: RequestError) -> RequestError:
        """What went wrong, told by a sign where one shows; else the error as it is."""
        if not isinstance(error, UpstreamFailed | ProfileOutdated | errors.TimedOut):
            return error
        signs = [(name, sign) for name, sign in self.profile.signs.items() if not sign.text]
        if not signs:
            return error
        try:
            at = await self._page.first([_look(sign) for _, sign in signs], SIGN_S)
        except BrowserError:
            return error
        return _error_of(*signs[at]) if at >= 0 else error

    async def models(self) -> tuple[Model, ...]:
        """The models that the page offers. Raises `ProfileOutdated`, `BrowserError`."""
        rules, page = self.profile.models, self._page
        if rules.anchor:
            models = models_in(await page.html(), rules)
        elif rules.json_path:
            models = models_of(await page.json_at(rules.json_path, MODELS_TIMEOUT_S), rules)
        elif rules.options:
            models = models_named(await page.names(rules.options), rules)
        else:
            models = models_named(rules.names or (self.profile.name,), rules)
        return with_aliases(models, rules)

    # -- act ---------------------------------------------------------------------------------------

    async def new_chat(self) -> None:
        """Leave the chat that is shown for a new one."""
        if steps := self.profile.new_chat:
            await self._perform("new_chat", steps)
        elif self._marks.new_chat:
            await self.press("new_chat", LANDMARK_TIMEOUT_S)
        else:
            await self.open()

    async def open_chat(self, session: str) -> None:
        """Open an older chat by its address. Raises `ProfileOutdated` when it does not show."""
        rules = self.profile.conversation
        path = rules.path.replace("{session}", quote(session, safe=""))
        await self._page.open(urljoin(self._base, path))
        await self.look(LANDMARK_TIMEOUT_S)
        await self._page.wait_for("conversation.shows", rules.shows, LANDMARK_TIMEOUT_S)
        await self._page.calm()

    def session_of(self, url: str) -> str:
        """The site's name of the chat that has this address; empty if it is no chat's."""
        inner = url.removeprefix(self._base.rstrip("/"))
        found = self._chat_path.search(inner) if self._chat_path else None
        return unquote(found[1])[:MAX_SESSION_CHARS] if found else ""

    async def choose(self, model: str, side: str = "") -> None:
        """Choose a model, if it is not chosen already; with the side `_b` the second of two."""
        marks, picker = self._marks, f"model_picker{side}"
        steps = getattr(self.profile, f"choose_model{side}")
        named = f"model_option{side}" if getattr(marks, f"model_option{side}") else "model_option"
        option = with_model(getattr(marks, named), model)
        chosen = with_model(getattr(marks, f"model_chosen{side}"), model)
        opener = () if steps else getattr(marks, picker)
        self._chosen[side] = wanted = Option(opener, model)
        point = None
        if chosen or opener:
            is_chosen, point = await self._page.way_to(chosen, wanted)
            if is_chosen:
                return
        if steps:
            await self._perform(f"choose_model{side}", steps, model)
        elif option:
            if point is not None:
                await self._page.press_at(point)
            elif opener:
                await self.press(picker, LANDMARK_TIMEOUT_S)
            await self._press(named, option, LANDMARK_TIMEOUT_S)

    async def write(self, prompt: str) -> None:
        """Write the prompt, once the page is ready for one. Raises `ChatFull` where it is cut."""
        marks = self._marks
        if marks.ready_to_send:
            ready = marks.ready_to_send
            await self._page.wait_for("ready_to_send", ready, LANDMARK_TIMEOUT_S)
        send = () if self.profile.send else marks.send
        lists, within_s = tuple(self._chosen.values()), LANDMARK_TIMEOUT_S
        self._send_at = None
        try:
            self._send_at = await self._page.write_to_send(
                ("prompt", marks.prompt), prompt, within_s, lists, send
            )
        except CutShort as cut:
            told = f"are {cut.given} characters as one prompt; the page takes {cut.taken}"
            raise ChatFull(f"messages: {told}", param="messages") from cut

    async def send(self) -> None:
        """Send what is written: by the profile's steps, else its button, else Enter."""
        point, self._send_at = self._send_at, None
        if steps := self.profile.send:
            await self._perform("send", steps)
        elif point is not None:
            await self._page.press_at(point)
        elif self._marks.send:
            await self.press("send", LANDMARK_TIMEOUT_S)
        else:
            await self._page.key("Enter")

    async def stop(self, timeout_s: float) -> None:
        """Stop a running answer. Raises `ProfileOutdated` also when there is no way to."""
        if steps := self.profile.stop:
            await self._perform("stop", steps)
        elif self._marks.stop:
            await self.press("stop", timeout_s)
        else:
            raise ProfileOutdated("the landmark stop: the profile names none")

    async def press(self, landmark: str, timeout_s: float) -> None:
        """Press one of the landmarks, by its name. Raises `ProfileOutdated` naming it."""
        await self._press(landmark, getattr(self._marks, landmark), timeout_s)

    async def _press(self, name: str, places: Places, timeout_s: float) -> None:
        """A dialog that shows only now may lie over what is to be pressed."""
        try:
            await self._page.press(name, places, timeout_s)
        except ProfileOutdated:
            if not await self._dismissed():
                raise
            await self._page.press(name, places, timeout_s)

    async def _dismissed(self) -> bool:
        for selector in self.profile.dismiss:
            if await self._page.is_usable(selector):
                await self._page.press("dismiss", selector, LANDMARK_TIMEOUT_S)
                return True
        return False

    # -- steps -------------------------------------------------------------------------------------

    async def _perform(self, name: str, steps: Sequence[Step], model: str = "") -> None:
        """Carry out steps in order. Raises `ProfileOutdated` naming the one that cannot be."""
        for number, step in enumerate(steps):
            await self.step(f"{name}[{number}]", step, model)

    async def step(self, path: str, step: Step, model: str = "") -> None:
        """Carry out one step, but for those that bring files. Raises `ProfileOutdated`."""
        _, when = self.named(path, step.when, model)
        if not when or await self._page.is_usable(when):
            await self._act(path, step, model)

    async def _act(self, path: str, step: Step, model: str) -> None:
        page, within_s = self._page, step.within_s
        if step.press:
            await self._press_or_key(path, step, model)
        elif step.press_if:
            name, places = self.named(path, step.press_if, model)
            if await page.is_usable(places):
                await page.press(name, places, within_s)
        elif step.wait:
            await page.wait_for(*self.named(path, step.wait, model), within_s)
        elif step.gone:
            await page.wait_gone(*self.named(path, step.gone, model), within_s)
        elif step.key:
            await page.key(step.key)
        elif step.write:
            await self._write(path, step, model)
        else:
            await page.open(urljoin(self._base, step.open))

    async def _press_or_key(self, path: str, step: Step, model: str) -> None:
        try:
            await self._press(*self.named(path, step.press, model), step.within_s)
        except ProfileOutdated:
            if not step.or_key:
                raise
            await self._page.key(step.or_key)

    async def _write(self, path: str, step: Step, model: str) -> None:
        text = step.write.replace("{model}", model)
        if step.into:
            try:
                await self._page.write(*self.named(path, step.into, model), text, step.within_s)
            except CutShort as cut:
                raise ProfileOutdated(str(cut)) from cut
        else:
            await self._page.type(text, step.within_s)

    def named(self, path: str, places: Places, model: str = "") -> tuple[str, tuple[str, ...]]:
        """A landmark's name and selectors, where the place is one; else the step's own."""
        name = places if isinstance(places, str) else ""
        if (landmark := getattr(self._marks, name, None) if name.isidentifier() else None) is None:
            return path, with_model(places, model)
        return name, with_model(landmark, model)


def _look(sign: Sign) -> Look:
    return {"places": selectors(sign.selector), "text": sign.text, "url": sign.url}


def _error_of(name: str, sign: Sign) -> RequestError:
    shows = " or ".join(selectors(sign.selector)) or sign.text or sign.url
    return errors.KINDS[sign.means](f"the site shows the sign {name} ({shows})")
