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

MAX_HTML_CHARS = 4 * 1024 * 1024
"""A longer piece, as one that nests too deep, comes back as its bare text."""

_RULES = {"left": ":---", "center": ":---:", "right": "---:"}
_LANGUAGE = re.compile(r"(?:^|\s)(?:language|lang|highlight-source)-([^\s\"]+)")
_FENCE = re.compile(r"`{3,}")
_TAG = re.compile(r"<[^<>]*>")
_OPEN_TAG = re.compile(r"""<[a-zA-Z](?:[^"'>]|"[^"]*+"|'[^']*+')*+(?:"[^"]*+|'[^']*+)?\Z""")
"""A > in the value of an attribute is no end of it."""

_ENDS = re.compile(r"(?:\s|</[^<>]*+>)*+")
_TEXT = re.compile(r">\s*+[^<\s]")
HEAD_ROWS = 2

_HALF = re.compile(r"(?:<[a-zA-Z/!?][^>]*+|&#?\w{0,31}|<)\Z")
"""Of a tag, or of a character's name; though `&T` may be all of it."""

_SPACE = re.compile(
    r"(<pre\b.*?(?:</pre>|\Z))|(<br\b[^<>]*+>)[ \t\r\n]++|[ \t\r\n]{100,}+",
    re.DOTALL | re.IGNORECASE,
)
"""What no page shows: behind a break, and more of it than one."""

_OPENING = re.compile(r"[ \t]*+(`{3,}+)[^`]*\Z")


Fences = list[int]
"""How long the fences of a text's code are, in its order, as they have been told."""


class _Converter(MarkdownConverter):
    """Where a converter's taste is not a model's. Its own names are not in its stubs."""

    def __init__(self, told: Fences) -> None:
        super().__init__(**_OPTIONS)
        self._told = told
        self._number = 0

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
        """A fence longer than any in the code, with the language that a class names.

        One that has been told stays as long as it was, whatever comes into the code.
        """
        del text, parent_tags
        code = _code(el).removeprefix("\n").removesuffix("\n")
        if self._number == len(self._told):
            self._told.append(max(map(len, _FENCE.findall(code)), default=2) + 1)
        fence = "`" * self._told[self._number]
        self._number += 1
        return f"\n\n{fence}{_language(el)}\n{code}\n{fence}\n\n"


def _inherited(name: str) -> Callable[[_Converter, Tag, str, set[str]], str]:
    return getattr(MarkdownConverter, name)


def _code(element: Tag) -> str:
    """Its text; some pages end its lines with breaks."""
    texts: list[str] = []
    for each in element.descendants:
        if isinstance(each, Tag):
            texts.append("\n" * (each.name == "br"))
        elif type(each) is NavigableString:  # and no comment
            texts.append(each)
    return "".join(texts)


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
    "keep_inline_images_in": ["td", "th", "h1", "h2", "h3", "h4", "h5", "h6", "a", "b", "strong"],
}


def without(cursor: str, html: str) -> str:
    """HTML that grows, without what stands at its end for as long as it does."""
    text, is_there, ends = html.rpartition(cursor) if cursor else ("", "", "")
    return text + ends if is_there and _ENDS.fullmatch(ends) else html


def standing(html: str) -> str:
    """As much of HTML that grows as is read in the same way, whatever comes behind it.

    Neither half a tag or entity, nor code in a line or a row of a table that is not closed; nor a
    last table of one row, which may become one of more columns.
    """
    if _OPEN_TAG.match(html, tag := html.rfind("<")):
        html = html[:tag]
    code = html.rfind("<code")
    if code > html.rfind("</code>") and html.rfind("<pre") <= html.rfind("</pre>"):
        html = html[:code]
    html = _without_half_a_table(html)
    begun = _HALF.search(html, html.rfind(">") + 1)
    return html[: begun.start()] if begun else html


def _without_half_a_table(html: str) -> str:
    table = html.rfind("<table")
    if table < 0:
        return html
    ended, rows = html.find("</table>", table), html.count("</tr>", table)
    if rows < HEAD_ROWS and (ended < 0 or not _TEXT.search(html, ended)):
        return html[:table]
    return html if ended >= 0 else html[: html.rfind("</tr>") + len("</tr>")]


def to_markdown(html: str, told: Fences | None = None) -> str:
    """The Markdown of a piece of HTML. Never raises. `told` is kept for HTML that grows."""
    if len(html) > MAX_HTML_CHARS:
        return _bare(html)
    # What begins like a tag and has no end is text; the parser would look for its end each time.
    ended = html.rfind(">") + 1
    tail = html[ended:].replace("<", "&lt;")
    # Without a tag the parser takes a text for an address or a file; `&T` at the end loses its &.
    markup = f"{_SPACE.sub(_shown_space, html[:ended] + tail)}<!---->"
    try:
        soup = BeautifulSoup(markup, "html.parser")
        _tighten(soup)
        text = _Converter([] if told is None else told).convert_soup(soup)
    except (RecursionError, ValueError, AssertionError, ParserRejectedMarkup):
        return _bare(html)
    return _trimmed(text)


def _shown_space(found: re.Match[str]) -> str:
    if kept := found[1] or found[2]:
        return kept
    return "\n" if "\n" in found[0] else " "


def _trimmed(text: str) -> str:
    """No space at the end of lines, but of those of code; decided by what stands before alone."""
    lines = text.split("\n")
    fence = ""
    for number, line in enumerate(lines):
        bare = line.strip(" \t")
        if not fence:
            lines[number] = line.rstrip(" \t")
            fence = opening[1] if (opening := _OPENING.match(line)) else ""
        elif bare.startswith(fence) and not bare.strip("`"):
            fence = ""
    return "\n".join(lines)


def _tighten(soup: BeautifulSoup) -> None:
    """Lists as tight ones, for one becomes loose from its first item on."""
    for item in soup.find_all("li"):
        first = item.find("p", recursive=False)
        if first and not ((after := first.find_next_sibling()) and after.name == "p"):
            first.unwrap()


def _bare(html: str) -> str:
    return _TAG.sub("", html).strip()
