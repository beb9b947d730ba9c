"""The main road: an OpenAI client, a frontend, a worker, a real page, and back."""

import asyncio
import json
import urllib.request
from collections.abc import Iterator

import openai
import psutil
import pytest
from chats import all_streamed, client, said, streamed, whole
from daemon import Daemon, running, until
from openai.types.chat import ChatCompletion

from arenad.demo.models import long_text

PASSAGES = (
    "plain words, and nothing else",
    "naïve façade — “quoted”, ‘single’, 100 % £5 €7",
    "汉字かな交じり文 한국어 텍스트 العربية עברית ไทย",
    "👩‍👩‍👧‍👦 🏳️‍🌈 e\u0301 \u200b zero width, 𝒜𝓁𝓅𝒽𝒶 𐍈",
    "# Heading\n\n- one\n- **two** `code`\n\n| a | b |\n|---|---|\n| 1 | 2 |\n",
    "```python\nprint(\"a\\n\\tb\", r'\\x00', f'{1:>4}')\n```\n<script>alert('&amp;')</script>",
    'a0:"looks like the wire"\nad:{"finishReason":"stop"}\ndata: [DONE]\n\n{"error":"no"}',
    "Just a moment… verify you are human, Attention Required! | Cloudflare",
    "tabs\tand   spaces  \n\n\n  and trailing space \n",
    "\\ back \\\\ slashes \\u0041 \\n and 'quotes' \"double\" `ticks`",
)


@pytest.fixture(scope="module")
def five() -> Iterator[Daemon]:
    """Five instances against the built-in demo arena."""
    with running(5) as daemon:
        yield daemon


def test_streams_and_answers_whole(five: Daemon) -> None:
    """The openai package streams an answer, and gets the same one in a piece."""
    text = PASSAGES[3]
    assert asyncio.run(streamed(five.api_url, "demo-echo", text)) == text
    assert asyncio.run(whole(five.api_url, "demo-echo", text)) == text


def test_five_chats_use_five_instances(five: Daemon) -> None:
    """Chats at the same time are spread: each instance performs one of them."""
    texts = [" ".join(f"word-{place}-{number}" for number in range(60)) for place in range(5)]

    async def chat() -> None:
        asking = asyncio.ensure_future(all_streamed(five.api_url, "demo-echo", texts))
        busy = lambda: [child["busy"] for child in five.children("worker")]  # noqa: E731
        await asyncio.to_thread(until, lambda: busy() == [1] * 5, "each instance has one chat")
        assert await asking == texts

    asyncio.run(chat())


@pytest.mark.parametrize("stream", [False, True])
def test_several_answers_are_of_as_many_instances(five: Daemon, *, stream: bool) -> None:
    """Each in a chat of its own, at the same time; the choices of one answer."""
    text = " ".join(f"word-{number}" for number in range(60))

    async def ask() -> list[str]:
        texts = [""] * 5
        async with client(five.api_url) as each:
            answer = await each.chat.completions.create(
                model="demo-echo", messages=said(text), n=5, stream=stream
            )
            if isinstance(answer, ChatCompletion):
                return [choice.message.content or "" for choice in answer.choices]
            async for chunk in answer:
                for choice in chunk.choices:
                    texts[choice.index] += choice.delta.content or ""
        return texts

    async def chat() -> None:
        asking = asyncio.ensure_future(ask())
        busy = lambda: [child["busy"] for child in five.children("worker")]  # noqa: E731
        await asyncio.to_thread(until, lambda: busy() == [1] * 5, "each instance has one chat")
        assert await asking == [text] * 5

    asyncio.run(chat())


def test_who_leaves_leaves_several_answers(five: Daemon) -> None:
    """All their pages stop, so that the next chat has every instance."""

    async def story() -> None:
        async with client(five.api_url) as each:
            answer = await each.chat.completions.create(
                model="demo-long", messages=said("200000 7"), n=5, stream=True
            )
            await anext(answer)
            await answer.close()
        free = lambda: [child["busy"] for child in five.children("worker")] == [0] * 5  # noqa: E731
        await asyncio.to_thread(until, free, "every instance is free")
        assert await whole(five.api_url, "demo-echo", "next") == "next"

    asyncio.run(story())


def test_more_answers_than_instances_are_refused(five: Daemon) -> None:
    """The client is told how many there are."""

    async def ask() -> None:
        async with client(five.api_url) as each:
            await each.chat.completions.create(model="demo-echo", messages=said("x"), n=6)

    with pytest.raises(openai.BadRequestError, match=r"n: is 6; .* give 5 answers at once"):
        asyncio.run(ask())


def test_two_hundred_answers_are_intact(five: Daemon) -> None:
    """Markdown, code, scripts of the world, wire look-alikes: equal to what the model sent."""
    texts = [f"{PASSAGES[n % len(PASSAGES)]}\n{n}: {PASSAGES[n // 10 % 10]}" for n in range(200)]

    async def ask_all() -> list[str]:
        room = asyncio.Semaphore(10)

        async def ask(number: int) -> str:
            async with room:
                ask_one = streamed if number % 2 else whole
                return await ask_one(five.api_url, "demo-echo-instant", texts[number])

        return list(await asyncio.gather(*(ask(number) for number in range(200))))

    answers = asyncio.run(ask_all())
    assert [(a, t) for a, t in zip(answers, texts, strict=True) if a != t] == []


def test_a_megabyte_is_intact(five: Daemon) -> None:
    """1 MB of Markdown with multi-byte characters arrives as the model made it, and 300 kB go in."""
    answer = asyncio.run(streamed(five.api_url, "demo-long", "1000000 7"))
    assert answer == long_text(1_000_000, 7)
    prompt = long_text(300_000, 3)
    assert asyncio.run(whole(five.api_url, "demo-echo-instant", prompt)) == prompt


def test_history_is_folded_into_the_prompt(five: Daemon) -> None:
    """The model sees every turn of the conversation."""

    async def ask() -> str:
        async with client(five.api_url) as each:
            answer = await each.chat.completions.create(
                model="demo-echo-instant",
                messages=[
                    {"role": "system", "content": "be brief"},
                    {"role": "user", "content": "first"},
                    {"role": "assistant", "content": "second"},
                    {"role": "user", "content": "third"},
                ],
            )
            return answer.choices[0].message.content or ""

    answer = asyncio.run(ask())
    assert [word for word in ("be brief", "first", "second", "third") if word not in answer] == []


def test_models_are_listed(five: Daemon) -> None:
    """The list holds what the page offers; one of them can be asked for; another is a 404."""

    async def look() -> None:
        async with client(five.api_url) as each:
            names = [model.id async for model in each.models.list()]
            assert "demo-eliza" in names
            assert (await each.models.retrieve("demo-eliza")).id == "demo-eliza"
            with pytest.raises(openai.NotFoundError) as caught:
                await each.models.retrieve("gpt-none")
            assert caught.value.code == "model_not_found"
            with pytest.raises(openai.NotFoundError) as caught:
                await each.chat.completions.create(model="gpt-none", messages=said("hi"))
            assert caught.value.param == "model"

    asyncio.run(look())


def test_a_client_that_leaves_stops_the_page(five: Daemon) -> None:
    """In mid-stream, before the first event, waiting for a whole answer: it ends at the site."""

    def stats() -> dict[str, int]:
        return _stats(five)

    async def leave(model: str, *, streams: bool, after_first: bool = False) -> None:
        async with client(five.api_url) as each:
            text = "word " * 400
            asking = each.chat.completions.create(model=model, messages=said(text), stream=streams)
            if after_first:
                async with await asking as stream:
                    await anext(aiter(stream))
                return
            task = asyncio.ensure_future(asking)
            await asyncio.to_thread(until, lambda: stats()["running"] > 0, "the site answers")
            task.cancel()
            await asyncio.wait([task])

    for leaving in (
        leave("demo-echo", streams=True, after_first=True),
        leave("demo-slow-start", streams=True),
        leave("demo-echo", streams=False),
    ):
        ended = stats()["stopped"] + stats()["left"]
        asyncio.run(leaving)
        until(lambda ended=ended: stats()["stopped"] + stats()["left"] > ended, "the site stops")
        until(lambda: stats()["running"] == 0, "nothing runs at the site")
    until(lambda: five.state()["word"] == "well", "all instances are ready again")
    assert all(child["restarts"] == 0 for child in five.children("worker"))


def test_a_client_that_leaves_the_queue_is_never_asked_for(five: Daemon) -> None:
    """The site hears of those who had an instance, and of nobody else."""
    before = _stats(five)

    async def leave() -> None:
        async with client(five.api_url) as each:

            def ask(text: str) -> asyncio.Task[object]:
                asking = each.chat.completions.create(
                    model="demo-echo", messages=said(text), stream=False
                )
                return asyncio.ensure_future(asking)

            running = [ask("word " * 400) for _ in range(5)]
            await asyncio.to_thread(until, lambda: _stats(five)["running"] == 5, "all are busy")
            queued = ask("never to be said")
            await asyncio.to_thread(until, lambda: _traffic(five)["queued"] == 1, "one waits")
            queued.cancel()
            await asyncio.to_thread(until, lambda: _traffic(five)["queued"] == 0, "nobody waits")
            for task in running:
                task.cancel()
            await asyncio.wait([queued, *running])

    asyncio.run(leave())
    until(lambda: _stats(five)["running"] == 0, "nothing runs at the site")
    until(lambda: five.state()["word"] == "well", "all instances are ready again")
    after = _stats(five)
    ended = {name: after[name] - before[name] for name in ("finished", "stopped", "left")}
    assert sum(ended.values()) == 5
    assert ended["finished"] == 0


def test_a_slow_reader_hurts_nobody(five: Daemon) -> None:
    """A megabyte that one client reads in small bites: others are answered meanwhile, it is whole."""
    long = asyncio.run(_bitten(five))
    assert long == long_text(1_000_000, 1)


async def _bitten(five: Daemon) -> str:
    """The answer, of which nothing is taken while others ask."""
    pieces: list[str] = []
    frontend = psutil.Process(five.children("frontend")[0]["pid"])
    async with client(five.api_url) as each:
        stream = await each.chat.completions.create(
            model="demo-long", messages=said("1000000 1"), stream=True
        )
        chunks = aiter(stream)
        pieces.append((await anext(chunks)).choices[0].delta.content or "")
        before = frontend.memory_full_info().uss
        others = await all_streamed(five.api_url, "demo-echo-instant", [str(n) for n in range(12)])
        assert others == [str(n) for n in range(12)]
        assert frontend.memory_full_info().uss - before < 16 * 1024 * 1024
        async for chunk in chunks:
            pieces += [choice.delta.content or "" for choice in chunk.choices]
    return "".join(pieces)


def _stats(five: Daemon) -> dict[str, int]:
    with urllib.request.urlopen(f"{five.demo_url}/demo/stats", timeout=5) as answer:
        return json.load(answer)


def _traffic(five: Daemon) -> dict[str, int]:
    return five.state()["traffic"]


def test_browsers_run_unprivileged_and_sandboxed(five: Daemon) -> None:
    """No browser process has root's rights or `--no-sandbox`; a renderer is confined by the kernel."""
    for name in ("w1", "w5"):
        main, renderer = five.browser_of(name), five.browser_of(name, "renderer")
        assert main.uids().effective != 0
        assert "--no-sandbox" not in main.cmdline() + renderer.cmdline()
        assert _depth(renderer) > _depth(main)
        assert "Seccomp:\t2" in _status(renderer)


def test_roles_stand_in_the_process_titles(five: Daemon) -> None:
    """`ps` tells which process is which."""
    for title in ("master", "zygote", "frontend-1", "worker w3", "demo"):
        assert len(five.titled(f"arenad: {title}")) == 1


def _status(process: psutil.Process) -> str:
    with open(f"/proc/{process.pid}/status") as file:  # noqa: PTH123 - procfs
        return file.read()


def _depth(process: psutil.Process) -> int:
    """How many pid namespaces deep the process is."""
    line = next(line for line in _status(process).splitlines() if line.startswith("NSpid"))
    return len(line.split())
