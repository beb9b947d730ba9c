"""api: what the real client makes of images, over real sockets."""

import asyncio
import base64
from typing import Any

import openai
import pytest
from api_scene import Scene, client, served
from scripted import until

from arenad.schema.chat import Heartbeat, Image, TextDelta
from arenad.schema.process import Model, Roster, Seat

PNG = b"\x89PNG\r\n\x1a\nno more"
DATA = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"


async def _drawing(at: Scene) -> None:
    """The worker has one model that draws, and one that does not."""
    seat = at.worker.seat
    models = (Model("echo"), Model("draws", capabilities=("image_out",)))
    able = Seat(
        name=seat.name,
        generation=seat.generation,
        socket_path=seat.socket_path,
        slots=seat.slots,
        condition=seat.condition,
        models=models,
    )
    at.stage.dispatch.on_roster(Roster((able,), 0))


@pytest.mark.parametrize(
    ("response_format", "image", "told"),
    [("url", Image("http://a/"), (None, "http://a/")), ("b64_json", Image(DATA), (PNG, None))],
)
@served()
async def test_the_real_client_gets_images(
    at: Scene, *, response_format: Any, image: Image, told: tuple[bytes | None, str | None]
) -> None:
    """By address or as bytes, and what they cost; the page is asked for the prompt alone."""
    await _drawing(at)
    async with client(at.address) as theirs:
        asking = asyncio.ensure_future(
            theirs.images.generate(
                model="draws", prompt="a boat", response_format=response_format, size="256x256"
            )
        )
        ask = await at.worker.asked()
        assert [turn.text for turn in ask.chat.turns] == ["a boat"]
        assert (ask.chat.image_bytes > 0) == (response_format == "b64_json")
        await ask.say(Heartbeat(), image, TextDelta("here it is"))
        ask.finish()
        (drawn,) = (await asking).data or ()
        content = base64.b64decode(drawn.b64_json) if drawn.b64_json else None
        assert (content, drawn.url) == told
        await until(lambda: at.count("answered") == 1)


@served()
async def test_the_real_client_streams_images(at: Scene) -> None:
    """An event for each."""
    await _drawing(at)
    async with client(at.address) as theirs:
        opening = asyncio.ensure_future(
            theirs.images.generate(model="draws", prompt="two boats", stream=True)
        )
        ask = await at.worker.asked()
        await ask.say(Image(DATA), Image(DATA))
        ask.finish()
        events = [event async for event in await opening]
        assert [event.type for event in events] == ["image_generation.completed"] * 2
        assert [base64.b64decode(event.b64_json) for event in events] == [PNG, PNG]


@pytest.mark.parametrize("stream", [False, True])
@served()
async def test_an_answer_in_words_is_an_error(at: Scene, *, stream: Any) -> None:
    """The client is told what the page said instead."""
    await _drawing(at)
    async with client(at.address) as theirs:

        async def draw() -> None:
            answer = await theirs.images.generate(model="draws", prompt="a boat", stream=stream)
            if stream:
                async for _ in answer:
                    pass

        asking = asyncio.ensure_future(draw())
        ask = await at.worker.asked()
        await ask.tell("I draw no boats.")
        with pytest.raises(openai.APIError, match=r"no image, and says: I draw no boats\.") as told:
            await asking
        assert told.value.code == "no_image"
        assert getattr(told.value, "status_code", None) == (None if stream else 502)
        await until(lambda: at.count("failed") == 1)


@served()
async def test_a_model_that_draws_nothing_is_not_asked(at: Scene) -> None:
    """Its client is told which one would."""
    await _drawing(at)
    async with client(at.address) as theirs:
        with pytest.raises(openai.BadRequestError, match="choose one of draws") as told:
            await theirs.images.generate(model="echo", prompt="a boat")
        assert told.value.param == "model"
        with pytest.raises(openai.NotFoundError):
            await theirs.images.generate(model="none", prompt="a boat")
    assert not at.worker.is_asked
