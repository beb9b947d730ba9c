"""Every way of an answer into a page, read in a real Chromium from the demo arena's other pages."""

from pathlib import Path

import pytest
from other_pages import NETWORK, STREAMS, answer, rules
from real_browser import browser_in, serving_demo, tell

from arenad.demo import models
from arenad.schema.chat import Finish
from arenad.worker.page import Page

AWKWARD = """# Überschrift 競技場

Some **bold**, *soft*, `code` and ~~gone~~ — 👩‍💻 🏳️‍🌈 שלום עולם مرحبا 1 < 2 & "so".

```python
def f(x):
    return f"`{x}`"  # שלום

print("😀\\\\n")
```

| name | text |
| --- | --- |
| α | b\\|c |

- one
- two
  - deep 🚀

1. first
2. second

> quoted **twice**

[a link](https://example.org/x?y=1&z=(2)) end"""


@pytest.mark.parametrize("name", NETWORK)
def test_network_answers_come_back_to_the_letter(tmp_path: Path, name: str) -> None:
    """Awkward text in tiny pieces, at once, and 200 kB: each byte for byte, and whole."""

    async def story() -> None:
        async with serving_demo() as address, browser_in(tmp_path) as browser:
            page = await Page.create(browser.devtools)
            await page.open(f"{address}/other/{name}")
            stream = rules(STREAMS[name])
            for prompt, model, wanted in (
                (AWKWARD, "demo-echo", AWKWARD),
                (AWKWARD, "demo-echo-instant", AWKWARD),
                ("200000 3", "demo-long", models.long_text(200_000, 3)),
            ):
                read = await answer(page, stream, prompt, model)
                assert read.text == wanted
                assert read.outcome == Finish("stop")
                assert read.batches > 1 or model == "demo-echo-instant"

    tell(story())


@pytest.mark.parametrize("name", ["dom", "shadow"])
def test_answers_of_the_page_itself(tmp_path: Path, name: str) -> None:
    """DOM"""

    async def story() -> None:
        async with serving_demo() as address, browser_in(tmp_path) as browser:
            page = await Page.create(browser.devtools)
            await page.open(f"{address}/other/{name}")
            stream = rules(STREAMS[name])
            for prompt, model, wanted in (
                (AWKWARD, "demo-echo", AWKWARD),
                (AWKWARD, "demo-echo-instant", AWKWARD),
                ("200000 3", "demo-long", models.long_text(200_000, 3)),
            ):
                read = await answer(page, stream, prompt, model)
                Path(f"/tmp/streams-exp/{name}-{model}.got").write_text(read.text)
                Path(f"/tmp/streams-exp/{name}-{model}.want").write_text(wanted)
                print(name, model, read.batches, read.outcome, read.text == wanted)
            assert 0

    tell(story())
