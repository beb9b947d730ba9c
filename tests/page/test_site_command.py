"""`arenactl site …` end to end: the real command, a real browser, the demo arena's pages."""

import asyncio
import json
import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pytest
from openai_upstream import serving_upstream
from real_browser import CONFIG, serving_demo, tell

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "profiles.md").read_text()
EXAMPLE_LINES = 20


class Ran(NamedTuple):
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def findings(self) -> dict[str, str]:
        """The verdicts of `site test --json`, by name."""
        trial: dict[str, Any] = json.loads(self.out)
        return {each["name"]: each["verdict"] for each in trial["findings"]}


async def site(folder: Path, *words: str) -> Ran:
    """Run `arenactl site WORDS` with a configuration in this folder."""
    path = folder / "arenad.yaml"
    path.write_text(json.dumps({"browser": {"allow_no_sandbox": CONFIG.allow_no_sandbox}}))
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "arenactl", "site", words[0], "-c", str(path), *words[1:]),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await program.communicate()
    return Ran(program.returncode or 0, out.decode(), err.decode())


def own(folder: Path, **files: str) -> None:
    """Own profiles beside the configuration."""
    (folder / "profiles").mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / "profiles" / f"{name}.yaml").write_text(text)


def test_profiles_are_listed_and_shown(tmp_path: Path) -> None:
    """Own ones with their file, faulty ones with their fault; one with all that it extends."""

    async def story() -> None:
        own(tmp_path, mine="extends: demo\nabout: my own", bad="extends: demo\nlandmarks: 7")
        listed = await site(tmp_path, "list")
        assert listed.code == 0
        lines = {line.split()[0]: line for line in listed.out.splitlines()}
        pages = {"demo", "lmarena", "generic", "gradio-chat", "fastchat"}
        shipped = pages | {"openai-http", "echo"}
        assert shipped | {"mine", "bad"} == set(lines)
        assert lines["mine"].endswith(f"my own ({tmp_path}/profiles/mine.yaml)")
        assert "landmarks: is 7; must be a section" in lines["bad"]
        shown = await site(tmp_path, "show", "mine")
        assert "name: mine\n" in shown.out
        assert "grammar" not in shown.out, "what is as it would be anyway is left out"
        as_json = json.loads((await site(tmp_path, "show", "mine", "--json")).out)
        assert as_json["about"] == "my own"
        assert as_json["stream"]["grammar"] == "arena-lines"
        (fault,) = (await site(tmp_path, "show", "bad")).err.splitlines()
        assert fault.startswith(f"arenad site: {tmp_path}/profiles/bad.yaml: landmarks: is 7")

    tell(story())


def test_a_profile_that_fits_holds(tmp_path: Path) -> None:
    """Every landmark, and an answer; a picture on request."""
    picture = tmp_path / "shot.png"

    async def story() -> None:
        async with serving_demo(chunks_per_s=5.0) as address:
            words = ("--prompt", "Hello", "--screenshot", str(picture), "--json")
            ran = await site(tmp_path, "test", "demo", "--url", address, *words)
            assert (ran.code, set(ran.findings.values())) == (0, {"holds"})
            wanted = {
                "page",
                "prompt",
                "models",
                "new_chat",
                "attach",
                "model_chosen",
                "send",
                "stop",
            }
            assert wanted | {"answer"} <= set(ran.findings)
            modes = {name for name in ran.findings if ": " in name}
            common = {"page", "prompt", "new_chat", "attach", "prompt takes text", "send"}
            pair = common | {
                f"model_{each}{side}" for each in ("picker", "chosen") for side in ("", "_b")
            }
            pair |= {"choose a model", "choose the second model"}
            assert modes == {f"battle: {each}" for each in common} | {
                f"side_by_side: {each}" for each in pair
            }
            assert picture.read_bytes().startswith(b"\x89PNG")
            unasked = await site(tmp_path, "test", "demo", "--url", address, "--json")
            assert (unasked.code, unasked.findings["stop"]) == (0, "unknown")
            assert "answer" not in unasked.findings

    tell(story())


def test_a_landmark_that_is_gone_is_named(tmp_path: Path) -> None:
    """In the table, in its last line and by the exit code; nothing is sent then."""
    own(tmp_path, broken="extends: demo\nlandmarks: {new_chat: '#gone', send: '#none'}")

    async def story() -> None:
        async with serving_demo() as address:
            words = ("test", "broken", "--url", address, "--prompt", "Hello")
            ran = await site(tmp_path, *words)
            assert ran.code == 1
            assert "the landmark new_chat (#gone) is not on the page" in ran.out
            assert "gone: new_chat, send, side_by_side: new_chat, " in ran.out.splitlines()[-1]
            assert "nothing was sent" in ran.out

    tell(story())


def test_what_is_gone_in_a_mode_is_told_with_it(tmp_path: Path) -> None:
    """A prompt is sent all the same, for direct chats are as good as ever."""
    own(
        tmp_path,
        moved="extends: demo\nmodes:\n"
        "  battle: {start_path: /nowhere}\n"
        "  side_by_side: {landmarks: {model_picker_b: '#none', model_chosen_b: '#neither'}}",
    )

    async def story() -> None:
        async with serving_demo() as address:
            ran = await site(tmp_path, "test", "moved", "--url", address, "--prompt", "Hello")
            assert ran.code == 1
            gone = ("side_by_side: model_picker_b", "side_by_side: choose the second model")
            last = ran.out.splitlines()[-1]
            told = f"gone: {', '.join(gone)}, battle: prompt, battle: new_chat"
            assert last.endswith(told)
            assert re.search(r"holds +answer .*stop, ", ran.out)

    tell(story())


def test_a_page_that_shows_a_sign_is_told(tmp_path: Path) -> None:
    """The sign's name stands where the prompt is missed."""
    sign = "{means: needs_login, selector: '#composer'}"
    own(tmp_path, walled=f"extends: demo\nsigns: {{wall: {sign}}}")

    async def story() -> None:
        async with serving_demo() as address:
            ran = await site(tmp_path, "test", "walled", "--url", address)
            assert ran.code == 1
            assert "the site shows the sign wall (#composer)" in ran.out

    tell(story())


@pytest.mark.parametrize("page", ["sse", "jsonl", "eventsource", "websocket", "dom", "shadow"])
def test_a_page_is_learnt_and_then_holds(tmp_path: Path, page: str) -> None:
    """From an address to a profile that answers, over each transport; a file is never replaced."""

    async def story() -> None:
        async with serving_demo(chunks_per_s=20.0) as address:
            draft = tmp_path / "profiles" / f"{page}.yaml"
            draft.parent.mkdir()
            words = ("learn", f"{address}/other/{page}", "--out", str(draft))
            assert (await site(tmp_path, *words)).code == 0
            ran = await site(tmp_path, "test", page, "--prompt", "Hello there", "--json")
            assert ran.code == 0, ran
            assert ran.findings["answer"] == "holds"
            if page == "sse":
                assert "transport" not in draft.read_text()
                again = await site(tmp_path, *words)
                assert (again.code, "File exists" in again.err) == (1, True)

    tell(story())


def test_a_page_that_cannot_be_learnt_leaves_no_file(tmp_path: Path) -> None:
    """So the next try finds its place free; whoever we are by then, the folder lets us."""
    with TemporaryDirectory() as name:  # pytest's own folders are closed to other users
        folder = Path(name)
        folder.chmod(0o777)

        async def story() -> None:
            words = ("learn", "http://127.0.0.1:1/", "--out", f"{name}/a.yaml")
            ran = await site(tmp_path, *words)
            assert (ran.code, "does not open" in ran.err) == (1, True)
            assert "left empty" not in ran.err

        tell(story())
        assert list(folder.iterdir()) == []


def test_the_example_of_the_manual_holds(tmp_path: Path) -> None:
    """A page that nobody has described, in twenty lines at most."""
    found = re.search(r"```yaml\n# profiles/talk\.yaml\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    assert len(found[1].splitlines()) <= EXAMPLE_LINES
    own(tmp_path, talk=found[1])

    async def story() -> None:
        async with serving_demo() as address:
            words = ("test", "talk", "--url", address, "--prompt", "Hello", "--json")
            ran = await site(tmp_path, *words)
            assert ran.code == 0, ran
            assert ran.findings["answer"] == "holds"

    tell(story())


def test_sites_of_others_need_a_word(tmp_path: Path) -> None:
    """Without it no browser is started; the message says which field, and what to read first."""

    async def story() -> None:
        for words in (("test", "lmarena"), ("learn", "https://chat.example/")):
            ran = await site(tmp_path, *words)
            assert ran.code == 78
            assert ran.err.startswith("arenad site: site.terms_accepted: is false, but https://")
            assert "read its terms of use" in ran.err

    tell(story())


def test_an_upstream_is_tried_without_a_browser(tmp_path: Path) -> None:
    """Its models and one answer; one that is not there is gone; a picture of it is refused."""

    async def story() -> None:
        async with serving_upstream() as upstream:
            shown = await site(tmp_path, "show", "openai-http")
            assert "landmarks" not in shown.out
            words = ("test", "openai-http", "--url", upstream.url, "--prompt", "hello")
            tried = await site(tmp_path, *words, "--json")
            assert (tried.code, tried.findings) == (0, {"models": "holds", "answer": "holds"})
            refused = await site(tmp_path, *words, "--screenshot", str(tmp_path / "x.png"))
            assert (refused.code, refused.err) == (
                1,
                "arenad site: --screenshot: openai-http has no page; leave it out\n",
            )
            await upstream.stop()
            gone = await site(tmp_path, *words)
            assert gone.code == 1
            assert "gone" in gone.out

    tell(story())
