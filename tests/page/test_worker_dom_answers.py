"""Where an answer that is read in the page begins and ends, in a real Chromium."""

import json
from pathlib import Path
from urllib.parse import quote

import pytest
from other_pages import rules
from real_browser import in_page, page_in, tell

from arenad.errors import UpstreamFailed
from arenad.schema.chat import Finish
from arenad.schema.profile import Places
from arenad.worker.listen import listen
from arenad.worker.sites.reading import Reading

DRAWN = """<!doctype html><meta http-equiv=content-security-policy content="default-src 'none'">
<button id=stop hidden>stop</button><div id=answers><div class=answer><p>older</div></div>"""

DRAW = """(async () => {
    const wait = () => new Promise((resolve) => setTimeout(resolve, 60));
    const answer = document.createElement("div");
    answer.className = "answer";
    STOP.hidden = !SHOWS_STOP;
    await wait();
    document.querySelector("#answers").append(answer);
    for (const word of ["one ", "two ", "three"]) {
        await wait();
        const part = document.createElement("b");
        part.textContent = word;
        answer.append(part);
    }
    REWRITE
    await wait();
    document.querySelector("#stop").hidden = true;
    MARK
})(); 0"""


@pytest.mark.parametrize(
    ("dom", "shows_stop", "mark", "text"),
    [
        ("element: .answer", True, "", "**one** **two** **three**"),
        ("element: .answer, settle_s: 0.4", False, "", "**one** **two** **three**"),
        (
            "element: .answer, end: .end",
            False,
            "answer.append(Object.assign(document.createElement('i'), {className: 'end'}))",
            "**one** **two** **three**",
        ),
        (
            "element: .answer, skip: [.end]",
            True,
            "answer.append('!')",
            "**one** **two** **three**!",
        ),
    ],
    ids=["stop gone", "nothing changes", "end shown", "drawn after the sign"],
)
def test_signs_of_the_end(tmp_path: Path, dom: str, shows_stop: bool, mark: str, text: str) -> None:
    """The stop button that goes, a landmark that comes, and only without both that nothing changes."""

    async def story() -> None:
        async with page_in(tmp_path) as page:
            await page.open("data:text/html," + quote(DRAWN))
            stream = rules(f"{{transport: dom, dom: {{{dom}}}}}")
            reading, source = (
                Reading(stream),
                await listen(page, stream, "#stop" if shows_stop else ()),
            )
            await page.evaluate(_drawing(shows_stop=shows_stop, mark=mark))
            await source.sent()
            events = [event async for batch in reading.events(source) for event in batch]
            last, outcome = reading.end()
            assert "".join(str(each.text) for each in events + last) == text
            assert outcome == Finish("stop")
            assert source.is_over
            await source.over()

    tell(story())


TURNS = """<!doctype html><button id=stop hidden>stop</button><div id=turns></div><script>
const wait = () => new Promise((resolve) => setTimeout(resolve, 300));
const show = (text) => turns.append(Object.assign(document.createElement("p"), { textContent: text }));
async function talk(question, ...answers) {
    show(question);
    await wait();
    document.querySelector("#stop").hidden = false;
    await wait();
    document.querySelector("#stop").hidden = true;
    await wait();
    for (const each of answers) show(each);
}</script>"""


@pytest.mark.parametrize(
    ("prompt", "turns", "stop"),
    [
        ("So *what* is it?", ["So what is it?", "It is 42."], "#stop"),
        ("two  lines\nof it", ["two lines of it", "two lines"], "#stop"),
        ("say this", ["say this", "say this"], "#stop"),
        ("So what is it?", ["So what is it?", "It is 42."], ()),
    ],
    ids=["drawn as Markdown", "an answer that begins so", "an echo", "no sign"],
)
def test_a_prompt_that_is_shown_as_answers_are_is_none(
    tmp_path: Path, prompt: str, turns: list[str], stop: Places
) -> None:
    """Not passed on, and no sign of an end is believed while it is all there is; an echo is one."""

    async def story() -> None:
        async with page_in(tmp_path) as page:
            await page.open("data:text/html," + quote(TURNS))
            stream = rules("{transport: dom, dom: {element: '#turns > p', settle_s: 0.3}}")
            reading, source = Reading(stream), await listen(page, stream, stop, prompt)
            await in_page(page, f"talk({', '.join(map(json.dumps, turns))})")
            await source.sent()
            events = [event async for batch in reading.events(source) for event in batch]
            last, outcome = reading.end()
            assert "".join(str(each.text) for each in events + last) == turns[-1]
            assert outcome == Finish("stop")

    tell(story())


HEADED = """<!doctype html><meta charset=utf-8><div id=answers></div><script>const draw = () => { answers.innerHTML = `<div class=answer>
<h2>One <a href="#one">¶</a></h2><h3><a href="#two" aria-hidden=true><svg></svg></a>Two</h3>
<h4><a href="#three">Three</a></h4><p>See <a href="#one">¶</a></p></div>` }</script>"""


def test_what_links_a_heading_to_itself_is_no_answer(tmp_path: Path) -> None:
    """A sign in a heading; words that link, and the same sign elsewhere, are."""

    async def story() -> None:
        async with page_in(tmp_path) as page:
            await page.open("data:text/html," + quote(HEADED))
            stream = rules("{transport: dom, dom: {element: .answer, settle_s: 0.3}}")
            reading, source = Reading(stream), await listen(page, stream)
            await in_page(page, "draw()")
            events = [event async for batch in reading.events(source) for event in batch]
            last, outcome = reading.end()
            wanted = "## One\n\n### Two\n\n#### [Three](#three)\n\nSee [¶](#one)"
            assert "".join(str(each.text) for each in events + last) == wanted
            assert outcome == Finish("stop")

    tell(story())


def _drawing(*, shows_stop: bool, mark: str = "", rewrite: str = "") -> str:
    script = DRAW.replace("SHOWS_STOP", str(shows_stop).lower()).replace("MARK", mark)
    return script.replace("STOP", "document.querySelector('#stop')").replace("REWRITE", rewrite)


def test_a_page_that_rewrites_its_answer_is_told(tmp_path: Path) -> None:
    """What was passed on cannot be taken back, and is not called whole."""

    async def story() -> None:
        async with page_in(tmp_path) as page:
            await page.open("data:text/html," + quote(DRAWN))
            stream = rules("{transport: dom, dom: {element: .answer}}")
            reading, source = Reading(stream), await listen(page, stream, "#stop")
            await page.evaluate(
                _drawing(
                    shows_stop=True, rewrite="await wait(); answer.firstChild.textContent = 'ONE '"
                )
            )
            events = [event async for batch in reading.events(source) for event in batch]
            assert events
            _, outcome = reading.end()
            assert isinstance(outcome, UpstreamFailed)
            assert "rewrote its answer" in outcome.message

    tell(story())


def test_an_abandoned_answer_is_still_watched(tmp_path: Path) -> None:
    """Who gave it up waits for the stop button to go, or for the page's sign."""

    async def story() -> None:
        async with page_in(tmp_path) as page:
            await page.open("data:text/html," + quote(DRAWN))
            assert await page.is_gone("#stop", 0.1)
            stream = rules("{transport: dom, dom: {element: .answer}}")
            source = await listen(page, stream, "#stop")
            await page.evaluate(_drawing(shows_stop=True))
            await source.sent()
            assert not await page.is_gone("#stop", 0.0)
            source.abandon()
            await source.over()
            assert await source.read() == []
            assert await page.is_gone("#stop", 1.0)

    tell(story())
