"""Chats at the same time against one alone, on a running arenad: the ratio of their times.

    .venv/bin/python bench/parallel.py [--url http://127.0.0.1:5102/v1] [--chats 5] [--words 100]

One chat of the paced echo model is the floor: on as many instances as there are chats, all of them
together take about as long (ratio 1), on one instance that many times as long. Pairs are measured
in turn, so that a slow moment of the machine meets both.
"""

import argparse
import asyncio
import os
import statistics
import time

import openai


async def chat(client: openai.AsyncOpenAI, text: str) -> float:
    """Seconds until the last chunk of an answer that is checked to be whole."""
    began_s = time.monotonic()
    stream = await client.chat.completions.create(
        model="demo-echo", messages=[{"role": "user", "content": text}], stream=True
    )
    said = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
    assert said == text
    return time.monotonic() - began_s


async def measure(url: str, chats: int, words: int, rounds: int) -> None:
    """Print each round, then the median ratio."""
    ratios: list[float] = []
    async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as client:
        for number in range(rounds):
            texts = [" ".join(f"w{number}-{c}-{w}" for w in range(words)) for c in range(chats)]
            alone_s = await chat(client, texts[0])
            began_s = time.monotonic()
            await asyncio.gather(*(chat(client, text) for text in texts))
            together_s = time.monotonic() - began_s
            ratios.append(together_s / alone_s)
            print(f"one {alone_s:.2f} s, {chats} together {together_s:.2f} s: {ratios[-1]:.3f}")
    load = os.getloadavg()[0]
    print(f"median ratio {statistics.median(ratios):.3f} of {rounds} rounds (load {load:.1f})")


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:5102/v1")
    parser.add_argument("--chats", type=int, default=5)
    parser.add_argument("--words", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    asyncio.run(measure(given.url, given.chats, given.words, given.rounds))


if __name__ == "__main__":
    main()
