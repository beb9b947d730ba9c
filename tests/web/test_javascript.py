"""The dashboard's scripts, run by node's own test runner, and the rules of its house."""

import re
import subprocess
from pathlib import Path

import pytest
from playwright._impl._driver import compute_driver_executable

HERE = Path(__file__).resolve().parent
WEB = HERE.parents[1] / "web"
DEADLINE_S = 60
LINES = 300

FILES = sorted(path for path in WEB.rglob("*") if path.is_file() and "vendor" not in path.parts)
PAGES = [path for path in FILES if path.suffix == ".html"]
SCRIPTS = [path for path in FILES if path.suffix == ".js"]

SERVED = ("/gui/dashboard", "/openapi.json")
"""Addresses that are no files."""

STATIC = "^/(gui|docs)/static/"
"""Where files are served: by the dashboard and by the endpoint."""

# XML needs this name of SVG in a file of its own; nothing is fetched from it.
SVG_NAMESPACE = 'xmlns="http://www.w3.org/2000/svg"'


def named(path):
    """A parameter's name in pytest's report."""
    return str(path.relative_to(WEB))


def references(path):
    """Files that a file of the page names: in attributes, imports and urls, as paths in `web/`."""
    text = path.read_text()
    if path.suffix == ".html":
        paths = re.findall(r'(?:href|src)="(/[^"]*)"', text)
        return [WEB / re.sub(STATIC, "", each) for each in paths if each not in SERVED]
    pattern = r'(?:from|import)\s*\(?\s*"([^"]+)"' if path.suffix == ".js" else r'url\("?([^")]+)'
    return [path.parent / each for each in re.findall(pattern, text)]


@pytest.mark.parametrize("path", sorted(HERE.glob("*.test.js")), ids=lambda path: path.name)
def test_scripts(path):
    """Node's test runner is content with each test file."""
    node, _ = compute_driver_executable()
    done = subprocess.run(
        [node, "--test", "--test-reporter=tap", path],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert re.search(r"^# tests [1-9]", done.stdout, re.MULTILINE), done.stdout


@pytest.mark.parametrize("path", SCRIPTS, ids=named)
def test_each_script_is_valid_by_itself(path):
    """Each module parses, also those that need a page to run."""
    node, _ = compute_driver_executable()
    done = subprocess.run(
        [node, "--input-type=module", "--check"],
        input=path.read_text(),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", FILES, ids=named)
def test_stays_on_this_machine(path):
    """No file names an address elsewhere."""
    text = path.read_text().replace(SVG_NAMESPACE, "")
    assert not re.search(r"(https?|wss?):?//(?!\$\{location)", text)
    assert not re.search(r"""["'(]//""", text), "an address without a scheme"


@pytest.mark.parametrize("path", FILES, ids=named)
def test_is_short(path):
    """A file is read in one sitting."""
    assert len(path.read_text().splitlines()) < LINES


@pytest.mark.parametrize("path", SCRIPTS, ids=named)
def test_script_writes_text_not_markup(path):
    """Nothing parses a string as markup or as code."""
    banned = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function"
    assert not re.search(banned, path.read_text())


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_page_has_nothing_inline(path):
    """No script, style or event stands in the page itself: the content policy would refuse it."""
    text = path.read_text()
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", text, re.IGNORECASE)
    for tag in re.findall(r"<script[^>]*>[^<]*", text):
        assert 'src="' in tag
        assert tag.endswith(">")


@pytest.mark.parametrize("path", FILES, ids=named)
def test_what_is_named_exists(path):
    """Each file that another one names is there."""
    for named_file in references(path):
        assert named_file.is_file(), named_file


def reached(*pages):
    """All files that these pages lead to."""
    found = set(pages)
    waiting = list(found)
    while waiting:
        news = {path.resolve() for path in references(waiting.pop())} - found
        found |= news
        waiting += news
    return found


def test_no_file_is_forgotten():
    """Each file is reached from a page."""
    assert set(FILES) == reached(*PAGES)


OF_THE_DASHBOARD = {"view.js", "rows.js"}
"""What the live view shares of it: single functions, not all that they want of their page."""


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_each_part_that_a_script_wants_is_in_the_page(path):
    """Ids and row parts that scripts ask for by name exist in the page."""
    page = path.read_text()
    scripts = reached(path) & set(SCRIPTS)
    if path.name != "dashboard.html":
        scripts = {each for each in scripts if each.name not in OF_THE_DASHBOARD}
    for script in scripts:
        text = script.read_text()
        for wanted in re.findall(r'\bat\("([^"]+)"\)', text):
            assert f'id="{wanted}"' in page, f"{script.name} wants #{wanted}"
        for wanted in re.findall(r'\bpart\(\w+, "([^"]+)"\)', text):
            assert f'data-part="{wanted}"' in page, f"{script.name} wants the part {wanted}"
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
