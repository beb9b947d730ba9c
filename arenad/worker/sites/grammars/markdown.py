"""Rendered HTML back into Markdown, in the form in which models write it.

Nothing is escaped: a page shows emphasis that is still open as it is written, so this way a text
that grows stays the beginning of what it becomes. The price is that an asterisk which the author
had escaped comes back bare.
"""

import re
from collections.abc import Callable
from typing import Any

from bs4 import BeautifulSoup
from bs4.element import NavigableString, Tag
from bs4.exceptions import ParserRejectedMarkup
from markdownify import MarkdownConverter

MAX_HTML_CHARS = 1024 * 1024
"""A longer piece, as one that nests too deep, comes back as its bare text."""

_RULES = {"left": ":---", "center": ":---:", "right": "---:"}
_LANGUAGE = re.compile(r"(?:^|\s)(?:language|lang|highlight-source)-([^\s\"]+)")
_FENCE = re.compile(r"`{3,}")
_TAG = re.compile(r"<[^<>]*>")
_BEGUN_TAG = re.compile(r"<[a-zA-Z/!?]")
_SPACE = re.compile(r"\s{100,}+")
_TRAILING = re.compile(r"(?<![ \t])[ \t]++(?=\n|$)")


class _Converter(MarkdownConverter):
    """Where a converter's taste is not a model's. Its own names are not in its stubs."""

    def convert_br(self, el: Tag, text: str, parent_tags: set[str]) -> str:
        """A page that breaks at single line ends had just a line end there."""
        del el, text
        return " " if "_inline" in parent_tags else "\n"

    def convert_a(self, el: Tag, text: str, parent_tags: set[str]) -> str:
        """An address that stands for itself was made a link by the page."""
        href = str(el.get("href") or "")
        if text.strip() in (href, href.removesuffix("/"), href.removeprefix("mailto:")):
            return text
        return _inherited("convert_a")(self, el, text, parent_tags)

    def convert_td(self, el: Tag, text: str, parent_tags: set[str]) -> str:
        """A bar inside a cell is no end of it."""
        return _inherited("convert_td")(self, el, text.replace("|", r"\|"), parent_tags)

    def convert_th(self, el: Tag, text: str, parent_tags: set[str]) -> str:
        """As in a cell."""
        return _inherited("convert_th")(self, el, text.replace("|", r"\|"), parent_tags)

    def convert_tr(self, el: Tag, text: str, parent_tags: set[str]) -> str:
        """The line under a table's head says how its columns are aligned."""
        row = _inherited("convert_tr")(self, el, text, parent_tags)
        marks = [_RULES.get(str(cell.get("align") or ""), "---") for cell in el.find_all("th")]
        return row.replace("| " + " | ".join(["---"] * len(marks)), "| " + " | ".join(marks), 1)

    def convert_pre(self, el: Tag, text: str, parent_tags: set[str]) -> str:
        """A fence longer than any in the code, with the language that a class names."""
        del text, parent_tags
        code = el.get_text().removeprefix("\n").removesuffix("\n")
        fence = "`" * (max(map(len, _FENCE.findall(code)), default=2) + 1)
        return f"\n\n{fence}{_language(el)}\n{code}\n{fence}\n\n"


def _inherited(name: str) -> Callable[[_Converter, Tag, str, set[str]], str]:
    return getattr(MarkdownConverter, name)


def _language(element: Tag) -> str:
    for each in [element, *element.find_all("code", limit=1)]:
        classes = each.get("class") or ""
        names = " ".join(classes) if isinstance(classes, list) else str(classes)
        if found := _LANGUAGE.search(names):
            return found[1]
    return ""


_OPTIONS: dict[str, Any] = {
    "heading_style": "atx",
    "bullets": "-",
    "escape_asterisks": False,
    "escape_underscores": False,
    "autolinks": False,
    "strip_pre": None,
    "table_infer_header": True,
}


def to_markdown(html: str) -> str:
    """The Markdown of a piece of HTML. Never raises.

    A tag at its end that is not closed is not there yet; the parser would look for its end from
    each place where another one begins.
    """
    if begun := _BEGUN_TAG.search(html, html.rfind(">") + 1):
        html = html[: begun.start()]
    if len(html) > MAX_HTML_CHARS:
        return _bare(html)
    # Without a tag the parser takes a text for an address or a file; `&T` at the end loses its &.
    markup = f"{html}<!---->"
    try:
        soup = BeautifulSoup(markup, "html.parser")
        _tighten(soup)
        text = _Converter(**_OPTIONS).convert_soup(soup)
    except (RecursionError, ValueError, AssertionError, ParserRejectedMarkup):
        return _bare(html)
    return _TRAILING.sub("", text) if "```" not in text else text


def _tighten(soup: BeautifulSoup) -> None:
    """Lists as tight ones, for one becomes loose from its first item on; no space after a break.

    Nor much of it anywhere: what converts it looks at a space once for each that stands before it.
    """
    for text in soup.find_all(string=_SPACE):
        if not text.find_parent("pre"):
            text.replace_with(_SPACE.sub(lambda found: "\n" if "\n" in found[0] else " ", text))
    for line_end in soup.find_all("br"):
        after = line_end.next_sibling
        if isinstance(after, NavigableString) and not line_end.find_parent("pre"):
            after.replace_with(after.lstrip())
    for item in soup.find_all("li"):
        if (first := item.find("p", recursive=False)) and not first.find_next_sibling("p"):
            first.unwrap()


def _bare(html: str) -> str:
    return _TAG.sub("", html).strip()
