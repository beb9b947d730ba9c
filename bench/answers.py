"""500 awkward answers over four transports, through a whole daemon, held to what was sent.

    make answers BENCH_ARGS='--count 500'

An upstream with known answers (Markdown of every form, code, tables, emoji, right-to-left, 200 kB)
stands behind the demo arena's pages; the client is the real `openai` package. Network transports
carry any text. What is read as it is drawn keeps to the forms that HTML can bring back
(docs/profiles.md). Ends with 1 if an answer differs.
"""

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import Iterator
from typing import ClassVar, NamedTuple

import openai
from chats import client, said
from daemon import Daemon

from bench import upstream as upstreams

LINES = {
    "fetch": "start_path: /other/sse\n"
    "stream: {url_pattern: /chat/completions, grammar: sse, transport: fetch}",
    "eventsource": "start_path: /other/eventsource\n"
    "stream: {transport: eventsource, url_pattern: /eventsource/answers/, grammar: sse,\n"
    "  answer: {text: $value when $event=message, finish: $value when $event=end}}",
    "websocket": "start_path: /other/websocket\n"
    "stream: {transport: websocket, url_pattern: /websocket/talk, grammar: json-frames,\n"
    "  answer: {text: text when type=text, finish: type when type=end}}",
    "dom": "start_path: /other/dom\n"
    "stream: {transport: dom, dom: {element: 'article[data-role=assistant] > .text'}}",
}
COMMON = """
landmarks:
  prompt: 'role=textbox[name="Message"]'
  send: 'role=button[name="Send message"]'
  stop: '#stop'
  new_chat: 'role=link[name="New chat"]'
  model_picker: 'select#model'
models: {options: 'select#model >> option'}
"""
MODEL = "demo-upstream"
HEAD = ("transport", "answers", "equal", "largest kB", "chunks", "p50 s", "longest s")


class Answered(NamedTuple):
    """One answer: what came, in how many chunks, when the first one came, how long all took."""

    text: str
    chunks: int
    first_s: float
    took_s: float


class OwnProfile(Daemon):
    """A daemon beside whose configuration a profile stands, and those that it extends.

    It is called `own`; or `demo`, in place of the shipped one, where the demo arena is its site.
    """

    profile = ""
    called = "own"
    beside: ClassVar[dict[str, str]] = {}

    def furnish(self) -> None:
        """The profiles' files."""
        (self.folder / "profiles").mkdir()
        for name, text in {**self.beside, self.called: self.profile}.items():
            (self.folder / "profiles" / f"{name}.yaml").write_text(text)


async def ask(url: str, prompt: str, model: str) -> Answered:
    """One streamed answer. Raises `openai.OpenAIError`, also for one that was cut."""
    began_s, first_s = time.monotonic(), 0.0
    pieces: list[str] = []
    async with client(url) as each:
        stream = await each.chat.completions.create(model=model, messages=said(prompt), stream=True)
        async for chunk in stream:
            pieces += [choice.delta.content for choice in chunk.choices if choice.delta.content]
            first_s = first_s or (time.monotonic() - began_s if pieces else 0.0)
    return Answered("".join(pieces), len(pieces), first_s, time.monotonic() - began_s)


async def _all(url: str, numbers: Iterator[int], clients: int) -> dict[int, Answered | str]:
    """Several clients at a time until all numbers are asked; an error stands as its text."""
    found: dict[int, Answered | str] = {}

    async def one() -> None:
        for number in numbers:
            try:
                found[number] = await ask(url, f"answer {number}", MODEL)
            except openai.OpenAIError as error:
                found[number] = repr(error)

    await asyncio.gather(*(one() for _ in range(clients)))
    return found


def measure(name: str, count: int, instances: int) -> bool:
    """One row; whether all are equal."""
    with upstreams.serving(is_plain_form=name == "dom") as upstream:
        OwnProfile.called = "demo"
        OwnProfile.profile = f"version: 1\n{LINES[name]}{COMMON}"
        settings = {
            "site": {"profile": "demo"},
            "demo": {"upstream_url": upstream.address, "upstream_model": upstreams.MODELS[0]},
        }
        daemon = OwnProfile(instances, settings)
        try:
            daemon.wait_well()
            found = asyncio.run(_all(daemon.api_url, iter(range(count)), instances))
        finally:
            daemon.stop()
        wanted = {number: upstream.text(number) for number in range(count)}
    good = {n: each for n, each in found.items() if isinstance(each, Answered)}
    equal = [number for number, each in good.items() if each.text == wanted[number]]
    times_s = [each.took_s for each in good.values()] or [0.0]
    largest = max(len(text.encode()) for text in wanted.values()) / 1000
    chunks = sum(each.chunks for each in good.values())
    row = (name, count, len(equal), f"{largest:.0f}", chunks)
    _print((*row, f"{statistics.median(times_s):.2f}", f"{max(times_s):.2f}"))
    for number in sorted(set(wanted) - set(equal)):
        print(f"  answer {number}: {fault(found[number], wanted[number])}")
    return len(equal) == count


def fault(found: Answered | str, wanted: str) -> str:
    """Where an answer first differs; empty when it is what was sent."""
    if isinstance(found, str) or found.text == wanted:
        return found if isinstance(found, str) else ""
    both = zip(found.text, wanted, strict=False)
    place = next((n for n, (a, b) in enumerate(both) if a != b), min(len(found.text), len(wanted)))
    shown = json.dumps([found.text[max(0, place - 20) :][:60], wanted[max(0, place - 20) :][:60]])
    return f"{len(found.text)} of {len(wanted)} characters, differs at {place}: {shown}"


def _print(row: tuple[object, ...]) -> None:
    print("  ".join(f"{cell!s:>11}" for cell in row), flush=True)


def main() -> None:
    """Read the arguments, and measure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=500, help="answers in all")
    parser.add_argument("--instances", type=int, default=2)
    parser.add_argument("transports", nargs="*", default=list(LINES))
    wish = parser.parse_args()
    _print(HEAD)
    each = wish.count // len(wish.transports)
    whole = [measure(name, each, wish.instances) for name in wish.transports]
    sys.exit(0 if all(whole) else 1)


if __name__ == "__main__":
    main()
