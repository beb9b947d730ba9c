"""Ask the upstream, and give the pieces of its answer. Needs no package."""

import json
import os
import urllib.request
from collections.abc import Iterator


def answer(prompt: str) -> Iterator[str]:
    """The pieces, as they come."""
    wish = {"model": "nasty", "stream": True, "messages": [{"role": "user", "content": prompt}]}
    request = urllib.request.Request(
        os.environ["UPSTREAM"] + "/chat/completions",
        json.dumps(wish).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=120) as response:
        for line in response:
            value = line.removeprefix(b"data:").strip()
            if value and value != b"[DONE]":
                yield json.loads(value)["choices"][0]["delta"].get("content") or ""
