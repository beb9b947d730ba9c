"""The blocks of which Anthropic's messages are made, as what is said with them. A brain: no I/O.

Shapes follow the Anthropic API reference, "Messages".
"""

import base64
from typing import Any, Literal

import msgspec

from arenad import notation
from arenad.frontend import calls, parts
from arenad.schema.chat import Turn


class GivenText(msgspec.Struct, tag="text", tag_field="type"):
    """A text, of a message or of the instructions."""

    text: str

    def piece(self) -> parts.Piece:
        """What it says."""
        return self.text


class _Base64(msgspec.Struct, tag="base64", tag_field="type"):
    media_type: str
    data: str

    def file(self, name: str) -> parts.File:
        return parts.File("source.data", f"data:{self.media_type};base64,{self.data}", name)


class _Url(msgspec.Struct, tag="url", tag_field="type"):
    url: str

    def file(self, name: str) -> parts.File:
        return parts.File("source.url", self.url, name)


class _Plain(msgspec.Struct, tag="text", tag_field="type"):
    data: str

    def file(self, name: str) -> parts.File:
        encoded = base64.b64encode(self.data.encode()).decode()
        return parts.File("source.data", f"data:text/plain;base64,{encoded}", name)


class _Image(msgspec.Struct, tag="image", tag_field="type"):
    source: _Base64 | _Url

    def piece(self) -> parts.Piece:
        return self.source.file("")


class _Document(msgspec.Struct, tag="document", tag_field="type"):
    source: _Base64 | _Url | _Plain
    title: str | None = None
    context: str | None = None

    def piece(self) -> parts.Piece:
        return self.source.file(self.title or "")


class _Thinking(msgspec.Struct, tag="thinking", tag_field="type"):
    """What we gave, and the client sends again: a page has it already."""

    def piece(self) -> parts.Piece:
        return ""


class _Redacted(_Thinking, tag="redacted_thinking", tag_field="type"):
    pass


class _Call(msgspec.Struct, tag="tool_use", tag_field="type"):
    id: str
    name: str
    input: dict[str, Any]

    def piece(self) -> parts.Piece:
        return f"\n\n{notation.call(self.name, self.input, self.id)}\n"


class _Result(msgspec.Struct, tag="tool_result", tag_field="type"):
    tool_use_id: str
    content: str | list[GivenText | _Image | _Document] | None = None
    is_error: bool | None = None

    def pieces(self, names: dict[str, str]) -> list[parts.Piece]:
        """What the call brought as one text, then its files."""
        content = self.content
        given: list[parts.Piece] = []
        for each in content if isinstance(content, list) else [GivenText(content or "")]:
            given += _said(each)
        text = "\n\n".join(each for each in given if isinstance(each, str))
        is_error = bool(self.is_error)
        told = calls.result(names, self.tool_use_id, text, is_error=is_error)
        return [told, *(each for each in given if not isinstance(each, str))]


_Block = GivenText | _Image | _Document | _Thinking | _Redacted | _Call | _Result


def _said(block: GivenText | _Image | _Document | _Thinking | _Call) -> list[parts.Piece]:
    """What a block says, a document's context before it."""
    context = block.context if isinstance(block, _Document) else None
    return [*filter(None, (context,)), block.piece()]


class GivenMessage(msgspec.Struct):
    """One of the conversation; its text alone is one block."""

    role: Literal["user", "assistant", "system"]
    content: str | list[_Block]

    def turn(self, reader: parts.Reader, number: int, names: dict[str, str]) -> Turn:
        """It as a turn. The blocks of one answer are pieces of one text, whatever came between.

        `names` are those of the calls so far, by their ids.
        """
        content = self.content
        pieces: list[parts.Piece] = [content] if isinstance(content, str) else []
        for block in content if isinstance(content, list) else ():
            if isinstance(block, _Call):
                names[block.id] = block.name
            pieces += block.pieces(names) if isinstance(block, _Result) else _said(block)
        joint = "" if self.role == "assistant" else "\n\n"
        return reader.turn(number, self.role, pieces, is_user=self.role == "user", joint=joint)
