"""Tools through the endpoint, by the real clients; the page behind it knows text alone."""

import asyncio
import json
from typing import Any

import anthropic
import openai
import pytest
from api_scene import HELLO, Scene, client, frames, served
from msgspec.structs import replace
from pydantic import BaseModel
from scripted import Ask, until
from test_api_vocabularies import claude

from arenad import notation
from arenad.conversation import key_of
from arenad.schema.chat import TextDelta, Turn
from arenad.schema.config import ApiConfig

ON = ApiConfig(emulate=True)
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
ADD: Any = {"type": "function", "function": {"name": "add", "parameters": SCHEMA}}
TOOLS = [ADD, {"type": "function", "function": {"name": "now"}}]
BLOCK = '```tool_call\n{"name": "add", "arguments": {"a": 3}}\n```'


async def says(at: Scene, *texts: str) -> Ask:
    """The page answers so."""
    ask = await at.worker.asked()
    await ask.say(*map(TextDelta, texts))
    ask.finish()
    return ask


@served(limits=ON)
async def test_openais_client_is_given_a_call(at: Scene) -> None:
    """And the model was told of the tools."""
    async with client(at.address) as theirs:
        asking = asyncio.ensure_future(
            theirs.chat.completions.create(model="echo", messages=HELLO, tools=TOOLS)
        )
        ask = await says(at, f"I will.\n\n{BLOCK}")
        choice = (await asking).choices[0]
        assert (choice.finish_reason, choice.message.content) == ("tool_calls", "I will.")
        (call,) = choice.message.tool_calls or []
        assert call.type == "function"
        assert (call.function.name, call.function.arguments) == ("add", '{"a": 3}')
        assert call.id.startswith("call_")
        system, user = ask.chat.turns
        assert (system.role, user.text) == ("system", "hello")
        assert '{"name":"add"' in system.text


@served(limits=ON)
async def test_openais_client_gathers_the_deltas(at: Scene) -> None:
    """Text comes before there is a call; calls are numbered; no text is in between."""
    async with client(at.address) as theirs:

        async def gathered() -> Any:
            async with theirs.chat.completions.stream(
                model="echo", messages=HELLO, tools=TOOLS
            ) as stream:
                assert (await anext(stream)).type == "chunk"
                return await stream.get_final_completion()

        asking = asyncio.ensure_future(gathered())
        ask = await at.worker.asked()
        await ask.say(TextDelta("So:"), TextDelta("\n\n```to"), TextDelta(BLOCK[5:] + "\n" + BLOCK))
        ask.finish()
        choice = (await asking).choices[0]
        assert (choice.finish_reason, choice.message.content) == ("tool_calls", "So:")
        one, two = choice.message.tool_calls
        assert (one.function.name, one.function.arguments) == ("add", '{"a": 3}')
        assert one.id != two.id


@served(limits=ON)
async def test_the_page_stops_when_one_call_is_enough(at: Scene) -> None:
    """What comes behind it nobody would see."""
    wire = await at.wire(tools=[ADD], parallel_tool_calls=False, stream=True)
    ask = await at.worker.asked()
    await ask.say(TextDelta(f"{BLOCK}\n{BLOCK}\nmore and more"))
    await ask.cancelled.wait()
    *chunks, done = frames((await wire.answer())[2])
    calls = [call for each in chunks for call in each["choices"][0]["delta"].get("tool_calls", ())]
    assert [call["index"] for call in calls] == [0]
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"
    assert done == "[DONE]"
    await until(lambda: at.count("answered") == 1)


@served(limits=ON)
async def test_a_call_that_did_not_come_is_the_sites_failure(at: Scene) -> None:
    """502 before the stream has begun, an error in it afterwards; never a whole answer."""
    async with client(at.address) as theirs:
        create = theirs.chat.completions.create
        chosen: Any = {"type": "function", "function": {"name": "now"}}
        for choice in ("required", chosen):
            asking = asyncio.ensure_future(
                create(model="echo", messages=HELLO, tools=TOOLS, tool_choice=choice)
            )
            for _ in range(2):  # it is told once more
                await says(at, BLOCK if choice == chosen else "no")
            with pytest.raises(openai.InternalServerError, match="did not call") as told:
                await asking
            assert (told.value.status_code, told.value.code) == (502, "tool_call_missing")
        opening = asyncio.ensure_future(
            create(model="echo", messages=HELLO, tools=TOOLS, tool_choice="required", stream=True)
        )
        await says(at, "no")
        with pytest.raises(openai.APIError, match="did not call"):
            [chunk async for chunk in await opening]
        assert at.count("failed") == 3


@served(limits=ON)
async def test_the_loop_of_anthropics_client_loses_nothing(at: Scene) -> None:
    """It would have the server keep a thread; it is told no, and says all of it again itself."""

    @anthropic.beta_async_tool
    async def add(a: int) -> str:
        """Adds one."""
        return str(a + 1)

    async with claude(at.address) as theirs:
        runner = theirs.beta.messages.tool_runner(
            model="echo", max_tokens=9, tools=[add], messages=HELLO, system="be brief"
        )

        async def looped() -> list[str | None]:
            return [message.stop_reason async for message in runner]

        looping = asyncio.ensure_future(looped())
        await says(at, BLOCK)
        ask = await says(at, "4")
        assert await looping == ["tool_use", "end_turn"]
    system, hello, call, result = ask.chat.turns
    assert system.text.startswith("be brief")
    assert '{"name":"add"' in system.text
    assert (hello.text, call.role) == ("hello", "assistant")
    assert '"content":"4"' in result.text


@served()
async def test_the_switch_is_the_operators(at: Scene) -> None:
    """Off: refused, with the switch as remedy; on, from the next request on."""
    async with client(at.address) as theirs:
        create = theirs.chat.completions.create
        with pytest.raises(
            openai.BadRequestError, match=r"have the operator set api\.emulate"
        ) as told:
            await create(model="echo", messages=HELLO, tools=TOOLS)
        assert told.value.param == "tools"
        at.api.adjust(replace(at.api.settings, api=ON))
        asking = asyncio.ensure_future(create(model="echo", messages=HELLO, tools=TOOLS))
        await says(at, BLOCK)
        assert (await asking).choices[0].finish_reason == "tool_calls"


@served()
async def test_no_schema_is_looked_at_before_the_switch(at: Scene) -> None:
    """So nobody has any made ready where there is nothing to be held against them."""
    bad: Any = {"type": "function", "function": {"name": "a", "parameters": {"type": "thing"}}}
    async with client(at.address) as theirs:
        create = theirs.chat.completions.create
        with pytest.raises(openai.BadRequestError, match=r"set api\.emulate"):
            await create(model="echo", messages=HELLO, tools=[bad])
        at.api.adjust(replace(at.api.settings, api=ON))
        with pytest.raises(openai.BadRequestError, match=r"tools\[0\]: is no schema"):
            await create(model="echo", messages=HELLO, tools=[bad])


@pytest.mark.parametrize("rewrites", [False, True])
@served(limits=ON)
async def test_a_conversation_with_calls_goes_on_where_it_is_held(
    at: Scene, *, rewrites: bool
) -> None:
    """Its results alone are typed; also where a client writes the arguments anew."""
    text = f'Both:\n{BLOCK}\n\n```tool_call\n{{ "arguments": {{}}, "name": "now" }}\n```\n'
    async with client(at.address) as theirs:
        create = theirs.chat.completions.create
        asking = asyncio.ensure_future(create(model="echo", messages=HELLO, tools=TOOLS))
        ask = await says(at, text)
        message = (await asking).choices[0].message.to_dict()
        answered = (*ask.chat.turns, Turn(role="assistant", text=text))
        key = key_of("echo", answered)  # as a worker keys what its page holds
        at.worker.hold(key)
        seat = at.worker.seat
        await until(lambda: at.stage.dispatch.pool.holds(seat, key))
        calls: Any = message["tool_calls"]
        if rewrites:
            for call in calls:
                told = json.loads(call["function"]["arguments"])
                call["function"]["arguments"] = json.dumps(told, indent=1)
        results = [
            {"role": "tool", "tool_call_id": call["id"], "content": f"r{number}"}
            for number, call in enumerate(calls)
        ]
        said: Any = [*HELLO, message, *results]
        asking = asyncio.ensure_future(create(model="echo", messages=said, tools=TOOLS))
        ask = await says(at, "Done.")
        assert (await asking).choices[0].message.content == "Done."
        assert ask.chat.conversation == key
        new = ask.chat.turns[-1]
        assert (new.role, new.text) == (
            "user",
            "\n\n".join(
                notation.result(call["id"], name, f"r{number}")
                for number, (call, name) in enumerate(zip(calls, ("add", "now"), strict=True))
            ),
        )


class Person(BaseModel):
    """What is to be found in a text."""

    name: str
    age: int


SAID = '```json\n{"name": "Anna", "age": 41}\n```'


@served(limits=ON)
async def test_openais_client_parses_an_object(at: Scene) -> None:
    """By its schema, whole and streamed; any object, too."""
    async with client(at.address) as theirs:
        chat = theirs.chat.completions
        asking = asyncio.ensure_future(
            chat.parse(model="echo", messages=HELLO, response_format=Person)
        )
        ask = await says(at, SAID)
        assert (await asking).choices[0].message.parsed == Person(name="Anna", age=41)
        assert '"required":["name","age"]' in ask.chat.turns[0].text

        async def streamed() -> Any:
            async with chat.stream(model="echo", messages=HELLO, response_format=Person) as made:
                return await made.get_final_completion()

        asking = asyncio.ensure_future(streamed())
        await says(at, SAID[:20], SAID[20:])
        assert (await asking).choices[0].message.parsed == Person(name="Anna", age=41)
        asking = asyncio.ensure_future(
            chat.create(model="echo", messages=HELLO, response_format={"type": "json_object"})
        )
        await says(at, '{"a": 1}')
        assert (await asking).choices[0].message.content == '{"a": 1}'


@served(limits=ON)
async def test_who_did_not_obey_is_told_once_more(at: Scene) -> None:
    """With what was wrong, behind what it said; a second time it is a failure."""
    async with client(at.address) as theirs:
        for second in (SAID, "No."):
            asking = asyncio.ensure_future(
                theirs.chat.completions.parse(model="echo", messages=HELLO, response_format=Person)
            )
            ask = await says(at, '{"name": "Anna"}')
            again = await says(at, second)
            assert again.chat.turns[:-2] == ask.chat.turns
            said, told = again.chat.turns[-2:]
            assert (said.role, said.text) == ("assistant", '{"name": "Anna"}')
            assert '"age" is a required property' in told.text
            if second == SAID:
                choice = (await asking).choices[0]
                assert choice.message.parsed == Person(name="Anna", age=41)
                continue
            with pytest.raises(openai.InternalServerError, match=r"it has no .$") as failed:
                await asking
            assert (failed.value.status_code, failed.value.code) == (502, "response_format_not_met")
        assert (at.count("answered"), at.count("failed")) == (1, 1)


@served(limits=ON)
async def test_a_stream_of_the_wrong_json_has_no_end(at: Scene) -> None:
    """It ends with an error, and not as a whole answer."""
    wire = await at.wire(response_format={"type": "json_object"}, stream=True)
    await says(at, '{"name": "An')
    *_, text, error = frames((await wire.answer())[2])
    assert text["choices"][0]["finish_reason"] is None
    assert error["error"]["code"] == "response_format_not_met"


INPUT: Any = [
    {"name": "add", "input_schema": SCHEMA},
    {"name": "now", "input_schema": {"type": "object"}},
]


@pytest.mark.parametrize("stream", [True, False])
@served(limits=ON)
async def test_anthropics_client_is_given_blocks(at: Scene, *, stream: bool) -> None:
    """Text, then calls with their inputs; its results go on in the same chat."""
    said: Any = list(HELLO)
    async with claude(at.address) as theirs:

        async def message() -> Any:
            given: Any = {"model": "echo", "max_tokens": 99, "messages": said, "tools": INPUT}
            if not stream:
                return await theirs.messages.create(**given)
            async with theirs.messages.stream(**given) as made:
                return await made.get_final_message()

        asking = asyncio.ensure_future(message())
        text = f"So:\n\n{BLOCK}\n{BLOCK}\n"
        ask = await says(at, text[:9], text[9:])
        told = await asking
        assert told.stop_reason == "tool_use"
        assert [block.type for block in told.content] == ["text", "tool_use", "tool_use"]
        assert told.content[0].text == "So:"
        assert [(each.name, each.input) for each in told.content[1:]] == [("add", {"a": 3})] * 2
        key = key_of("echo", (*ask.chat.turns, Turn(role="assistant", text=text)))
        at.worker.hold(key)
        await until(lambda: at.stage.dispatch.pool.holds(at.worker.seat, key))
        ids = [each.id for each in told.content[1:]]
        results = [{"type": "tool_result", "tool_use_id": each, "content": "6"} for each in ids]
        said += [
            {"role": "assistant", "content": told.content},
            {"role": "user", "content": results},
        ]
        asking = asyncio.ensure_future(message())
        ask = await says(at, "Done.")
        assert ask.chat.conversation == key
        assert ask.chat.turns[-1].text.count("tool_result") == 2
        assert (await asking).stop_reason == "end_turn"


@served(limits=ON)
async def test_anthropics_choices(at: Scene) -> None:
    """One call at a time; one that has to come; none that may."""
    async with claude(at.address) as theirs:
        create = theirs.messages.create
        given: Any = {"model": "echo", "max_tokens": 99, "messages": HELLO, "tools": INPUT}
        alone = {"type": "auto", "disable_parallel_tool_use": True}
        asking = asyncio.ensure_future(create(**given, tool_choice=alone))
        ask = await at.worker.asked()
        await ask.say(TextDelta(f"{BLOCK}\n{BLOCK}\nmore"))
        await ask.cancelled.wait()
        assert len((await asking).content) == 1
        for choice in ({"type": "any"}, {"type": "tool", "name": "now"}):
            asking = asyncio.ensure_future(create(**given, tool_choice=choice))
            for _ in range(2):
                await says(at, "no")
            with pytest.raises(anthropic.InternalServerError, match="did not call") as told:
                await asking
            assert told.value.status_code == 502
        asking = asyncio.ensure_future(create(**given, tool_choice={"type": "none"}))
        ask = await says(at, BLOCK)
        (block,) = (await asking).content
        assert block.type == "text"
        assert [turn.role for turn in ask.chat.turns] == ["user"]


@served(limits=ON)
async def test_anthropics_client_parses_an_object(at: Scene) -> None:
    """By the helper of its own."""
    async with claude(at.address) as theirs:
        asking = asyncio.ensure_future(
            theirs.messages.parse(model="echo", max_tokens=99, messages=HELLO, output_format=Person)
        )
        await says(at, SAID)
        assert (await asking).parsed_output == Person(name="Anna", age=41)


FLAT: Any = [{"type": "function", "strict": True, **each["function"]} for each in TOOLS]


@pytest.mark.parametrize("stream", [True, False])
@served(limits=ON)
async def test_a_response_has_items(at: Scene, *, stream: bool) -> None:
    """A message, then calls; all of it sent back with the outputs goes on in the same chat."""
    said: Any = list(HELLO)
    async with client(at.address) as theirs:

        async def response() -> Any:
            given: Any = {"model": "echo", "input": said, "tools": FLAT}
            if not stream:
                return await theirs.responses.create(**given)
            async with theirs.responses.stream(**given) as made:
                return await made.get_final_response()

        asking = asyncio.ensure_future(response())
        text = f"So:\n\n{BLOCK}\n{BLOCK}\n"
        ask = await says(at, text[:9], text[9:])
        told = await asking
        assert [item.type for item in told.output] == ["message", "function_call", "function_call"]
        assert told.output_text == "So:"
        assert [(x.name, x.arguments) for x in told.output[1:]] == [("add", '{"a": 3}')] * 2
        assert (told.status, told.tool_choice, told.tools[0].name) == ("completed", "auto", "add")
        key = key_of("echo", (*ask.chat.turns, Turn(role="assistant", text=text)))
        at.worker.hold(key)
        await until(lambda: at.stage.dispatch.pool.holds(at.worker.seat, key))
        said += [item.to_dict() for item in told.output]
        for item in told.output[1:]:
            said.append({"type": "function_call_output", "call_id": item.call_id, "output": "6"})
        asking = asyncio.ensure_future(response())
        ask = await says(at, "Done.")
        assert ask.chat.conversation == key
        assert ask.chat.turns[-1].text.count("tool_result") == 2
        assert (await asking).output_text == "Done."


@served(limits=ON)
async def test_a_response_is_parsed(at: Scene) -> None:
    """By the helper of OpenAI's client; and what had to be called and was not is an error."""
    async with client(at.address) as theirs:
        asking = asyncio.ensure_future(
            theirs.responses.parse(model="echo", input="x", text_format=Person)
        )
        await says(at, SAID)
        assert (await asking).output_parsed == Person(name="Anna", age=41)
        chosen: Any = {"type": "function", "name": "now"}
        opening = asyncio.ensure_future(
            theirs.responses.create(
                model="echo", input="x", tools=FLAT, tool_choice=chosen, stream=True
            )
        )
        await says(at, "no")
        with pytest.raises(openai.APIError, match="did not call the tool now"):
            [event async for event in await opening]


@served(limits=ON)
async def test_what_is_shown_is_cut_and_not_how_it_is_written(at: Scene) -> None:
    """No client knows how a call is written: a stop in it is none, and no half of one is text."""
    async with client(at.address) as theirs:

        async def told(*texts: str, **more: Any) -> tuple[Any, str, int]:
            asked: Any = {"model": "echo", "messages": HELLO, **more}
            asking = asyncio.ensure_future(theirs.chat.completions.create(**asked))
            ask = await at.worker.asked()
            await ask.say(*map(TextDelta, texts))
            if not ask.cancelled.is_set():
                ask.finish()
            choice = (await asking).choices[0]
            made = choice.message.tool_calls or ()
            return choice.message.content, choice.finish_reason, len(made)

        call = f"So:\n\n{BLOCK}\n{BLOCK}"
        assert await told(call, tools=TOOLS, stop=["```", "arguments"]) == ("So:", "tool_calls", 2)
        assert await told(call, tools=TOOLS, max_tokens=4) == ("So:", "length", 0)
        assert await told(call, tools=TOOLS, max_tokens=12) == ("So:", "length", 1)
        form = {"type": "json_object"}
        fenced = '```json\n{"a": "b"}\n```'
        assert await told(fenced, response_format=form, stop="```") == ('{"a": "b"}', "stop", 0)
        assert await told(fenced, response_format=form, stop='"b') == ('{"a": ', "stop", 0)
