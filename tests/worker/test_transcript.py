"""A transcript's bounds, and that it lets go of what nobody will ask for."""

from scripted_browser import linked, tell, until

from arenad.worker.devtools import Params
from arenad.worker.traffic import Channel
from arenad.worker.transcript import MAX_OPEN, Transcript


def _socket(heard: Transcript, name: str) -> None:
    heard.on_event("s", "webSocketCreated", {"requestId": name, "url": f"ws://site/{name}"})


def _frame(heard: Transcript, name: str, text: str) -> None:
    frame: Params = {"opcode": 1, "payloadData": text}
    heard.on_event("s", "webSocketFrameReceived", {"requestId": name, "response": frame})


def _fetch(heard: Transcript, name: str) -> None:
    request: Params = {"url": f"http://site/{name}", "method": "POST"}
    told: Params = {"requestId": name, "type": "Fetch", "request": request}
    heard.on_event("s", "requestWillBeSent", told)


def test_connections_are_bounded() -> None:
    """Those that are open already, too: the newest of them; then the first ones that come."""

    async def story() -> None:
        async with linked() as (devtools, _browser):
            many = [Channel(("s", f"o{n}"), f"ws://site/o{n}", True) for n in range(MAX_OPEN + 1)]
            heard = Transcript(devtools, many)
            _socket(heard, "more")
            _frame(heard, "more", "unheard")
            _frame(heard, "o0", "unheard")
            _frame(heard, "o1", "heard")
            found = await heard.heard()
            assert len(found) == MAX_OPEN
            assert [each.pieces for each in found if each.pieces] == [("heard",)]
            fresh = Transcript(devtools, [])
            for number in range(MAX_OPEN + 5):
                _socket(fresh, f"n{number}")
                told = {"requestId": f"e{number}", "type": "EventSource"}
                fresh.on_event("s", "requestWillBeSent", {**told, "request": {"url": "http://x"}})
            assert len(await fresh.heard()) == MAX_OPEN

    tell(story())


def test_what_was_abandoned_is_let_go() -> None:
    """Nothing of it is kept, and nothing new is begun; a request under way is still known."""

    async def story() -> None:
        async with linked() as (devtools, browser):
            heard = Transcript(devtools, [])
            _socket(heard, "a")
            _frame(heard, "a", "text")
            _fetch(heard, "r")
            heard.abandon()
            _socket(heard, "b")
            _frame(heard, "b", "text")
            _fetch(heard, "r2")
            assert heard.is_under_way
            heard.on_event("s", "loadingFailed", {"requestId": "r", "errorText": "gone"})
            asked = await browser.answer("Network.streamResourceContent", error={"message": "no"})
            assert asked["params"] == {"requestId": "r"}
            await until(lambda: not heard.is_under_way)
            found = await heard.heard()
            assert [(each.url, each.pieces) for each in found] == [("http://site/r", ())]

    tell(story())
