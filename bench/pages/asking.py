"""Ask through the daemon as a client does, and hold what came to what was sent: one answer or two.

An *ask* is the client's `model` field: a model, two of them (`nasty,nasty-two`), `battle`, or one
side of a battle (`battle:B`).
"""

import time
from itertools import permutations
from typing import Any

import openai
from chats import client, said

from bench.answers import Answered, fault
from bench.upstream import MODELS, Upstream

TWO = 2


class Told:
    """One request: each of its answers, by the choice's number; or the error in its place."""

    def __init__(self) -> None:
        """Nothing has come."""
        self.pieces: dict[int, list[str]] = {}
        self.order: list[int] = []
        self.error = ""
        self.first_s = self.took_s = 0.0

    @property
    def texts(self) -> list[str]:
        """The answers, in the order of their choices."""
        return ["".join(self.pieces[number]) for number in sorted(self.pieces)]

    @property
    def is_mixed(self) -> bool:
        """Whether two answers came at the same time: each had begun before the other one ended."""
        order = self.order
        return len(self.pieces) < TWO or order.index(1) < len(order) - order[::-1].index(0)


async def ask(url: str, prompt: str, asked: str) -> Told:
    """One streamed request. An error, also of one side, stands in what is given."""
    model, _, target = asked.partition(":")
    told, began_s = Told(), time.monotonic()
    more: dict[str, Any] = {"extra_body": {"battle_target": target}} if target else {}
    try:
        async with client(url) as each:
            stream = await each.chat.completions.create(
                model=model, messages=said(prompt), stream=True, **more
            )
            async for chunk in stream:
                for choice in chunk.choices:
                    if choice.finish_reason not in (None, "stop"):
                        told.error = f"choice {choice.index} ended with {choice.finish_reason}"
                    if choice.delta.content:
                        told.pieces.setdefault(choice.index, []).append(choice.delta.content)
                        told.order.append(choice.index)
                        told.first_s = told.first_s or time.monotonic() - began_s
    except openai.OpenAIError as error:
        told.error = repr(error)
    told.took_s = time.monotonic() - began_s
    return told


def wanted(upstream: Upstream, number: int, asked: str) -> list[list[str]]:
    """What may come: in a battle the page draws who is on which side."""
    model, _, target = asked.partition(":")
    names = [name if name in MODELS else MODELS[0] for name in model.split(",")]
    if model == "battle":
        both = [upstream.text(number, name) for name in MODELS]
        return [list(each) for each in permutations(both, 1 if target else TWO)]
    return [[upstream.text(number, name) for name in names]]


def fault_of(told: Told, allowed: list[list[str]]) -> str:
    """Why it is not what was sent; empty when it is."""
    if told.error or told.texts in allowed:
        return told.error if told.error or told.is_mixed else "one answer came after the other"
    if len(told.texts) != len(allowed[0]):
        return f"{len(told.texts)} answers in place of {len(allowed[0])}"
    nearest = max(
        allowed, key=lambda each: sum(a == b for a, b in zip(told.texts, each, strict=True))
    )
    faults = [
        fault(Answered(text, 1, 0.0, 0.0), sent)
        for text, sent in zip(told.texts, nearest, strict=True)
    ]
    return "; ".join(f"choice {n}: {each}" for n, each in enumerate(faults) if each)
