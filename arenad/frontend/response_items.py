"""The items of which a response's input is made, as what is said with them. A brain: no I/O.

Shapes follow the OpenAI API reference, "Responses".
"""

from collections.abc import Mapping
from typing import Literal

import msgspec

from arenad.errors import InvalidRequest
from arenad.frontend import calls, parts
from arenad.schema.chat import Role, Turn

NEEDED: Mapping[str, str] = {
    "role": "must be user, assistant, system or developer",
    "call_id": calls.REMEDIES["call_id"],
    "name": calls.REMEDIES["name"],
}
"""What a kind of item cannot be without, and must be."""


class _InputText(msgspec.Struct, tag="input_text", tag_field="type"):
    text: str

    def piece(self) -> parts.Piece:
        return self.text


class _OutputText(_InputText, tag="output_text", tag_field="type"):
    pass


class _Refusal(msgspec.Struct, tag="refusal", tag_field="type"):
    refusal: str

    def piece(self) -> parts.Piece:
        return self.refusal


class _Reasoning(msgspec.Struct, tag="reasoning_text", tag_field="type"):
    def piece(self) -> parts.Piece:
        return ""


class _InputImage(msgspec.Struct, tag="input_image", tag_field="type"):
    image_url: str | None = None
    file_id: str | None = None

    def piece(self) -> parts.Piece:
        if self.file_id and not self.image_url:
            return parts.File("file_id", self.file_id)
        return parts.File("image_url", self.image_url or "")


class _InputFile(msgspec.Struct, tag="input_file", tag_field="type"):
    file_data: str | None = None
    file_url: str | None = None
    filename: str | None = None
    file_id: str | None = None

    def piece(self) -> parts.Piece:
        if self.file_id and not (self.file_url or self.file_data):
            return parts.File("file_id", self.file_id)
        if self.file_url:
            return parts.File("file_url", self.file_url, self.filename or "")
        return parts.File("file_data", self.file_data or "", self.filename or "")


_Part = _InputText | _OutputText | _Refusal | _Reasoning | _InputImage | _InputFile

_ROLES: dict[str, Role] = {
    "user": "user",
    "assistant": "assistant",
    "system": "system",
    "developer": "system",
}


class GivenItem(msgspec.Struct):
    """A message, which needs a role; a call, its output; or reasoning, which a page has already."""

    type: Literal["message", "reasoning", "function_call", "function_call_output"] = "message"
    role: Literal["user", "assistant", "system", "developer"] | None = None
    content: str | list[_Part] | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    output: str | list[_Part] | None = None

    def turn(self, reader: parts.Reader, number: int, names: dict[str, str]) -> Turn:
        """It as a turn. The parts of one answer are pieces of one text.

        `names` are those of the calls so far, by their ids.
        """
        match self.type:
            case "function_call":
                text = self._call(number, names)
                return Turn(role="assistant", text=text)
            case "function_call_output":
                given = _pieces(self.output)
                text = "\n\n".join(each for each in given if isinstance(each, str))
                told = calls.result(names, self._needed(number, "call_id"), text)
                files = [each for each in given if not isinstance(each, str)]
                return reader.turn(number, "user", [told, *files], is_user=True, joint="")
            case _:
                role = self._needed(number, "role")
                joint = "" if role == "assistant" else "\n\n"
                pieces = _pieces(self.content)
                is_user = role == "user"
                return reader.turn(number, _ROLES[role], pieces, is_user=is_user, joint=joint)

    def _call(self, number: int, names: dict[str, str]) -> str:
        call_id, name = self._needed(number, "call_id"), self._needed(number, "name")
        names[call_id] = name
        return calls.FormerFunction(name, self.arguments or "").block(call_id)

    def _needed(self, number: int, name: Literal["role", "call_id", "name"]) -> str:
        if (given := getattr(self, name)) is None:
            path = f"input[{number}].{name}"
            raise InvalidRequest(f"{path}: is missing; {NEEDED[name]}", param=path)
        return given

    def joins(self, before: "GivenItem") -> bool:
        """Whether it is one turn with the item before: a call and its answer, outputs together."""
        if self.type == "function_call_output":
            return before.type == self.type
        is_answer = [
            each.type == "function_call" or each.role == "assistant" for each in (self, before)
        ]
        return all(is_answer) and "function_call" in (self.type, before.type)


def _pieces(content: str | list[_Part] | None) -> list[parts.Piece]:
    return [each.piece() for each in content] if isinstance(content, list) else [content or ""]
