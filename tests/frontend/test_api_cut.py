"""Answers that end where the client wants them to, through the endpoint, by the real clients."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from api_scene import HELLO, Scene, client, served
from openai import BadRequestError
from scripted import until
from test_api_vocabularies import claude

from arenad.schema.chat import TextDelta


async def tells(at: Scene, *texts: str) -> None:
    """The worker says this, never ends, and is told to stop."""
    ask = await at.worker.asked()
    await ask.say(*map(TextDelta, texts))
    await ask.cancelled.wait()


@pytest.mark.parametrize("stream", [True, False])
def test_openais_clients_are_told_why_it_ended(stream: bool, tmp_path: Path) -> None:
    """Chats, legacy completions, responses: `stop` and `length`, and the page stops."""

    @served()
    async def story(at: Scene) -> None:
        async with client(at.address) as theirs:

            async def chat(**more: Any) -> tuple[str, str | None]:
                made: Any = await theirs.chat.completions.create(
                    model="echo", messages=HELLO, stream=stream, **more
                )
                if not stream:
                    return made.choices[0].message.content, made.choices[0].finish_reason
                choices = [chunk.choices[0] async for chunk in made]
                text = "".join(each.delta.content or "" for each in choices)
                return text, choices[-1].finish_reason

            for more, text, reason in (
                ({"stop": "STOP"}, "one two ", "stop"),
                ({"stop": ["x", "wo ST"]}, "one t", "stop"),
                ({"max_tokens": 2}, "one two", "length"),
                ({"max_completion_tokens": 1, "max_tokens": 9}, "one", "length"),
            ):
                asking = asyncio.ensure_future(chat(**more))
                await tells(at, "one t", "wo ST", "OP three four")
                assert await asking == (text, reason)
            await until(lambda: at.count("answered") == 4)

            asking = asyncio.ensure_future(
                theirs.completions.create(model="echo", prompt="x", max_tokens=1, stop=["one two"])
            )
            await tells(at, "one t", "wo ST", "OP three four")
            choice = (await asking).choices[0]
            assert (choice.text, choice.finish_reason) == ("", "stop")

            asking = asyncio.ensure_future(
                theirs.responses.create(model="echo", input="x", max_output_tokens=2)
            )
            await tells(at, "one t", "wo ST", "OP three four")
            response = await asking
            assert (response.output_text, response.status) == ("one two", "incomplete")
            assert response.incomplete_details is not None
            assert response.incomplete_details.reason == "max_output_tokens"
            assert response.usage is not None
            assert response.usage.output_tokens == 2

    story(tmp_path)


@pytest.mark.parametrize("stream", [True, False])
def test_anthropics_client_is_told_the_sequence(stream: bool, tmp_path: Path) -> None:
    """`stop_sequence` and its words; `max_tokens`."""

    @served()
    async def story(at: Scene) -> None:
        async with claude(at.address) as theirs:

            async def message(**more: Any) -> Any:
                given: Any = {"model": "echo", "messages": HELLO} | more
                if not stream:
                    return await theirs.messages.create(**given)
                async with theirs.messages.stream(**given) as made:
                    return await made.get_final_message()

            for more, expected in (
                ({"max_tokens": 9, "stop_sequences": ["STOP", "no"]}, ("stop_sequence", "STOP")),
                ({"max_tokens": 2}, ("max_tokens", None)),
            ):
                asking = asyncio.ensure_future(message(**more))
                await tells(at, "one t", "wo ST", "OP three four")
                told = await asking
                assert (told.stop_reason, told.stop_sequence) == expected
                assert told.content[0].text.strip() == "one two"
                assert told.usage.output_tokens in {2, 3}

    story(tmp_path)


@served()
async def test_nonsense_is_refused_by_name(at: Scene) -> None:
    """With what would be right."""
    async with client(at.address) as theirs:
        wrong: list[dict[str, Any]] = [
            *({"stop": each} for each in ("", ["a", ""], ["a"] * 17)),
            {"max_tokens": 0},
            {"max_completion_tokens": 1.5},
        ]
        for given in wrong:
            with pytest.raises(BadRequestError, match=f"{next(iter(given))}.*: is .*; must be"):
                await theirs.chat.completions.create(model="echo", messages=HELLO, **given)
