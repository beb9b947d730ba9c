"""abreast: several answers to one request, by the real client over real sockets."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
from api_scene import HELLO, client, frames
from scripted import Ask, Stage, Story, Wire, api_serving, as_test, play, stage, until

from arenad.errors import ContentRejected, InvalidRequest, NotTheFormat, UpstreamFailed
from arenad.frontend import abreast
from arenad.frontend.account import Account
from arenad.frontend.recording import Recording
from arenad.frontend.reply import Answer
from arenad.frontend.vocabulary import Wish
from arenad.schema.chat import Event, Finish, Heartbeat, SideFailed, TextDelta
from arenad.schema.config import ApiConfig
from arenad.schema.history import Outcome, RequestEnded


class Book(Recording):
    """Keeps what is put, for nobody to come and take it."""

    def __init__(self) -> None:
        super().__init__("", "frontend-1")
        self.ended: list[RequestEnded] = []

    def put(self, account: Account, outcome: Outcome) -> None:
        self.ended.append(account.ended(outcome, "frontend-1"))


class Scene:
    """Some workers behind one endpoint."""

    def __init__(self, stage_: Stage, book: Book, address: tuple[str, int]) -> None:
        self.stage = stage_
        self.book = book
        self.address = address

    async def asked(self, count: int) -> list[Ask]:
        """So many chats that have arrived, wherever they did."""
        asks: list[Ask] = []
        while len(asks) < count:
            await until(lambda: any(each.is_asked for each in self.stage.workers))
            asks += [await each.asked() for each in self.stage.workers if each.is_asked]
        return asks

    def counted(self, outcome: str) -> int:
        return self.stage.dispatch.counts[outcome]


def served(*names: str) -> Callable[[Story], Callable[..., None]]:
    @asynccontextmanager
    async def setting(folder: Path) -> AsyncIterator[tuple[Scene]]:
        async with stage(folder) as made:
            await made.staff(*names)
            book = Book()
            async with api_serving(made, limits=ApiConfig(emulate=True), recording=book) as (
                _,
                address,
            ):
                yield (Scene(made, book, address),)

    return as_test(setting)


def asking(theirs: openai.AsyncOpenAI, **more: Any) -> "asyncio.Future[Any]":
    given: dict[str, Any] = {"model": "echo", "messages": HELLO, "n": 2} | more
    return asyncio.ensure_future(theirs.chat.completions.with_raw_response.create(**given))


@served("w1", "w2")
async def test_each_answer_is_a_choice(at: Scene) -> None:
    """Of an instance and a chat of its own, at once; the counts are those of all."""
    async with client(at.address) as theirs:
        waiting = asking(theirs)
        asks = await at.asked(2)
        assert [(ask.chat.strategy, ask.chat.conversation) for ask in asks] == [("fold", "")] * 2
        await asks[0].tell("one two three")
        await asks[1].tell("four")
        raw = await waiting
        whole = raw.parse()
        texts = [choice.message.content for choice in whole.choices]
        assert sorted(texts) == ["four", "one two three"]
        assert [choice.index for choice in whole.choices] == [0, 1]
        assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (7, 4)
        assert sorted(raw.headers["x-arenad-instance"].split(", ")) == ["w1", "w2"]
        assert raw.headers["x-arenad-attempts"] == "2"
        await until(lambda: at.counted("answered") == 1)
        rows = {each.instance: each.chars for each in at.book.ended}
        assert sorted(rows) == ["w1", "w2"]
        assert sorted(rows.values()) == [len("four"), len("one two three")]


@served("w1", "w2", "w3")
async def test_answers_of_a_stream_come_as_they_do(at: Scene) -> None:
    """Each piece as soon as it is there, each end once, and one end of all."""
    wire = await Wire.to(at.address)
    send(wire, n=3, stream=True)
    asks = await at.asked(3)
    for text in "abc":
        for ask in asks:
            await ask.say(TextDelta(text))
    for ask in asks:
        ask.finish("length")
    _, _, body = await wire.answer()
    *chunks, done = frames(body)
    choices = [chunk["choices"][0] for chunk in chunks]
    assert done == "[DONE]"
    for side in range(3):
        own = [each for each in choices if each["index"] == side]
        assert own[0]["delta"] == {"role": "assistant", "content": ""}
        assert "".join(each["delta"].get("content", "") for each in own) == "abc"
        assert [each["finish_reason"] for each in own] == [None] * 4 + ["length"]


def send(wire: Wire, **more: Any) -> None:
    body = json.dumps({"model": "echo", "messages": HELLO, **more}).encode()
    wire.send("POST /v1/chat/completions HTTP/1.1", body, Host="127.0.0.1")


@served("w1", "w2")
async def test_answers_wait_for_their_instances(at: Scene) -> None:
    """What somebody else has is waited for, and the other answer does not wait for that."""
    other = at.stage.ask("other")
    (busy,) = await at.asked(1)
    async with client(at.address) as theirs:
        waiting = asking(theirs)
        (first,) = await at.asked(1)
        await first.tell("first")
        (second,) = await at.asked(1)
        await second.tell("second")
        texts = [choice.message.content for choice in (await waiting).parse().choices]
        assert sorted(texts) == ["first", "second"]
    await busy.tell("theirs")
    await other


@pytest.mark.parametrize("stream", [False, True])
@served("w1", "w2", "w3")
async def test_one_that_fails_is_asked_elsewhere(at: Scene, *, stream: bool) -> None:
    """By the rules of any answer; the other one goes on."""
    wire = await Wire.to(at.address)
    send(wire, n=2, stream=stream)
    one, other = await at.asked(2)
    one.fail(UpstreamFailed("no"))
    (again,) = await at.asked(1)
    await again.tell("again")
    await other.tell("other")
    status, headers, body = await wire.answer()
    assert status == 200
    assert b"error" not in body
    if not stream:
        assert headers["x-arenad-attempts"] == "3"
    await until(lambda: at.counted("answered") == 1)
    assert sum(each.asked for each in at.book.ended) == 3


@served("w1", "w2")
async def test_one_that_fails_late_is_a_choice_that_failed(at: Scene) -> None:
    """With what it said, beside one that is whole; and so it is remembered."""
    async with client(at.address) as theirs:
        waiting = asking(theirs)
        one, other = await at.asked(2)
        await one.say(TextDelta("half"))
        one.fail(UpstreamFailed("the site cut it"))
        await other.tell("whole")
        choices = {each.message.content: each for each in (await waiting).parse().choices}
        assert choices["whole"].finish_reason == "stop"
        assert choices["half"].finish_reason == "error"
        assert choices["half"].model_extra["error"]["message"] == "the site cut it"
        await until(lambda: at.counted("answered") == 1)
        assert sorted((each.outcome, each.error) for each in at.book.ended) == [
            ("answered", ""),
            ("failed", "upstream"),
        ]


@pytest.mark.parametrize("stream", [False, True])
@served("w1", "w2")
async def test_when_all_fail_the_first_is_told(at: Scene, *, stream: bool) -> None:
    """As HTTP, while nothing has been answered."""
    async with client(at.address) as theirs:
        waiting = asking(theirs, stream=stream)
        one, other = await at.asked(2)
        one.fail(ContentRejected("not this"))
        await until(lambda: not one.end.cancelled() and len(at.stage.dispatch.seats.busy()) == 1)
        other.fail(ContentRejected("nor that"))
        with pytest.raises(openai.BadRequestError, match="not this") as told:
            await waiting
        assert told.value.code == "content_policy_violation"
        await until(lambda: at.counted("failed") == 1)
        assert [each.error for each in at.book.ended] == ["content_rejected"] * 2


@pytest.mark.parametrize("stream", [False, True])
@served("w1", "w2", "w3")
async def test_a_client_that_leaves_stops_them_all(at: Scene, *, stream: bool) -> None:
    """One that runs, one that has said nothing, one that waits."""
    other = at.stage.ask("other")
    (busy,) = await at.asked(1)
    wire = await Wire.to(at.address)
    send(wire, n=3, stream=stream)
    one, two = await at.asked(2)
    await one.say(TextDelta("a"))
    await until(lambda: at.stage.dispatch.seats.queued == 1)
    wire.leave()
    await one.cancelled.wait()
    await two.cancelled.wait()
    await until(lambda: at.counted("cancelled") == 1)
    assert at.stage.dispatch.seats.queued == 0
    await busy.tell("theirs")
    await other


@served("w1", "w2")
async def test_each_answer_is_cut_by_itself(at: Scene) -> None:
    """The page of one that is over is told to stop; the other one goes on."""
    async with client(at.address) as theirs:
        waiting = asking(theirs, stop="STOP")
        one, other = await at.asked(2)
        await one.say(TextDelta("one STOP"))
        await one.cancelled.wait()
        await other.tell("other")
        texts = [each.message.content for each in (await waiting).parse().choices]
        assert sorted(texts) == ["one ", "other"]


@served("w1", "w2")
async def test_each_answer_is_read_by_itself(at: Scene) -> None:
    """For the JSON that was wanted: one that is none has failed, and no other one."""
    async with client(at.address) as theirs:
        waiting = asking(theirs, response_format={"type": "json_object"})
        one, other = await at.asked(2)
        await one.tell('{"a": 1}')
        await other.tell("no")
        choices = {each.finish_reason: each for each in (await waiting).parse().choices}
        assert choices["stop"].message.content == '{"a": 1}'
        assert choices["error"].model_extra["error"]["code"] == NotTheFormat.code
        assert not any(worker.is_asked for worker in at.stage.workers)


@served("w1", "w2")
async def test_completions_have_several_too(at: Scene) -> None:
    """One prompt, two texts."""
    async with client(at.address) as theirs:
        waiting = asyncio.ensure_future(theirs.completions.create(model="echo", prompt="a", n=2))
        for ask in await at.asked(2):
            await ask.tell("b")
        assert [each.text for each in (await waiting).choices] == ["b", "b"]


@served("w1", "w2")
async def test_more_than_there_can_be_are_refused(at: Scene) -> None:
    """Naming how many there are; and where one answer is two already, how to have one."""
    async with client(at.address) as theirs:
        with pytest.raises(openai.BadRequestError, match=r"n: is 3; .* give 2 answers at once"):
            await asking(theirs, n=3)
        with pytest.raises(openai.BadRequestError, match="a conversation goes on with one") as told:
            await asking(theirs, extra_body={"conversation": "affinity"})
        assert told.value.param == "n"
        for worker in at.stage.workers:
            worker.models = ("echo", "battle")
        await at.stage.enlist(*at.stage.workers)
        with pytest.raises(openai.BadRequestError, match=r"are two already; .*battle_target"):
            await asking(theirs, model="battle")
        waiting = asking(theirs, model="battle", extra_body={"battle_target": "B"})
        for ask in await at.asked(2):
            assert ask.chat.battle_target == "B"
            await ask.tell("b")
        assert len((await waiting).parse().choices) == 2
        waiting = asking(theirs, model="battle", n=1)
        (ask,) = await at.asked(1)
        await ask.tell("one is always fine")
        await waiting
        with pytest.raises(openai.NotFoundError):
            await asking(theirs, model="none")


# -- without an endpoint ---------------------------------------------------------------------------


WISH = Wish(model="echo", turns=(), stream=False, include_usage=False, ignored=(), n=3)


@pytest.mark.parametrize(("sides", "room"), [(2, 9), (1, 2)])
def test_what_cannot_be_is_refused(sides: int, room: int) -> None:
    """More than there is room for, and answers that are several by themselves."""
    with pytest.raises(InvalidRequest, match="n: is 3; "):
        abreast.check(WISH, sides, room)
    abreast.check(WISH, 1, 3)
    abreast.check(WISH, 1, 0)


async def telling(*events: Event | Exception) -> Answer:
    for event in events:
        if isinstance(event, Exception):
            raise event
        yield event


def accounts(count: int) -> list[Account]:
    first = Account("1", "echo", streams=True)
    return [first, *(first.beside() for _ in range(count - 1))]


def test_an_end_is_the_last_event() -> None:
    """Whichever order they come in, what failed is said before it, and signs of life pass."""

    async def story() -> None:
        whole = telling(Heartbeat(3), TextDelta("a"), Finish("stop"))
        broken = telling(TextDelta("b"), UpstreamFailed("no"))
        known = accounts(3)
        answers = [whole, broken, telling(TextDelta("c"), Finish("length"))]
        async with aclosing(abreast.together(answers, known)) as events:
            told = [event async for event in events]
        assert Heartbeat(3) in told
        assert {each for each in told if isinstance(each, TextDelta)} == {
            TextDelta("a"),
            TextDelta("b", 1),
            TextDelta("c", 2),
        }
        *_, one, failed, last = told
        assert {one, last} == {Finish("stop"), Finish("length", 2)}
        assert isinstance(failed, SideFailed)
        assert (failed.side, failed.failure.message) == (1, "no")
        assert [each.error for each in known] == ["", "upstream", ""]

    play(story())


def test_a_bug_in_one_ends_all() -> None:
    """It is raised as it is, and what the others held is let go."""

    async def story() -> None:
        gone = asyncio.Event()

        async def endless() -> Answer:
            try:
                while True:
                    yield TextDelta("a")
                    await asyncio.sleep(0)
            finally:
                gone.set()

        answers = [endless(), telling(ValueError("a bug"))]

        async def read() -> None:
            async with aclosing(abreast.together(answers, accounts(2))) as events:
                async for _ in events:
                    pass

        with pytest.raises(ValueError, match="a bug"):
            await read()
        assert gone.is_set()

    play(story())


def test_a_slow_reader_holds_all_up() -> None:
    """So that nothing piles up between a page and its client."""

    async def story() -> None:
        said = [0, 0]

        async def endless(side: int) -> Answer:
            while True:
                said[side] += 1
                yield TextDelta("a")

        answers = [endless(0), endless(1)]
        async with aclosing(abreast.together(answers, accounts(2))) as events:
            await anext(events)
            for _ in range(100):
                await asyncio.sleep(0)
            assert sum(said) < 10
            taken = [(await anext(events)) for _ in range(100)]
        assert {each.side for each in taken if isinstance(each, TextDelta)} == {0, 1}

    play(story())
