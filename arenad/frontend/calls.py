"""What requests say of tools, in each vocabulary, as what is to be emulated. A brain: no I/O.

OpenAI's two vocabularies wrap the same function differently; Anthropic's have other names.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple

import msgspec

from arenad import notation
from arenad.errors import InvalidRequest
from arenad.frontend.fields import Field
from arenad.frontend.instruct import Emulation, Format, Tool

MAX_TOOLS = 1024
MAX_NAME_CHARS = 128

_NAME = rf"[a-zA-Z0-9_.:-]{{1,{MAX_NAME_CHARS}}}"
_is_name = re.compile(_NAME).fullmatch
Name = Annotated[
    str,
    msgspec.Meta(max_length=MAX_NAME_CHARS, pattern=rf"^{_NAME}(?![\s\S])"),
]
"""OpenAI's and Anthropic's own rule, and a little more: some clients put a server before a name."""

Choice = Literal["none", "auto", "required"]

EMULATED = Field(
    "emulated", "by telling the model, where the operator has set `api.emulate`; else refused"
)

REMEDIES = {
    "tools": f"must be a list of at most {MAX_TOOLS} tools",
    "tools[]": "must be an object with type and what a function is",
    "function": "must be an object with name",
    "name": f"must be a name of 1 to {MAX_NAME_CHARS} letters, digits, _ . : or -",
    "description": "must be text",
    "parameters": "must be a JSON schema",
    "strict": "must be true or false",
    "parallel_tool_calls": "must be true or false",
    "allowed_tools": "must be an object with mode and tools",
    "mode": "must be auto or required",
    "tool_calls": "must be a list of calls",
    "tool_calls[]": "must be an object with id, type and function",
    "arguments": "must be the text of a JSON object",
    "id": "must be text",
    "call_id": "must be text",
    "tool_call_id": "must be text",
    "json_schema": "must be an object with name and schema",
    "schema": "must be a JSON schema",
    "input_schema": "must be a JSON schema",
    "disable_parallel_tool_use": "must be true or false",
    "tool_use_id": "must be text",
    "is_error": "must be true or false",
}


class Function(msgspec.Struct):
    """What OpenAI's tools describe; without `strict` the client looks at the arguments itself."""

    name: Name
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None

    def tool(self) -> Tool:
        """It as every vocabulary has it."""
        return Tool(self.name, self.description or "", self.parameters, bool(self.strict))


class FunctionTool(msgspec.Struct, tag="function", tag_field="type"):
    """A tool of a chat."""

    function: Function

    def tool(self) -> Tool:
        """What it wraps."""
        return self.function.tool()


class Named(msgspec.Struct):
    """The tool that has to be called."""

    name: Name


class ChosenFunction(msgspec.Struct, tag="function", tag_field="type"):
    """The choice of a chat."""

    function: Named


Mode = Literal["auto", "required"]


class AllowedFunctions(msgspec.Struct):
    """Which of a chat's tools may be called this time, and whether one has to be."""

    mode: Mode
    tools: list[ChosenFunction]


class Allowed(msgspec.Struct, tag="allowed_tools", tag_field="type"):
    """The choice of a chat that leaves its tools as they are, and not all of them to be called."""

    allowed_tools: AllowedFunctions


class FormerFunction(msgspec.Struct):
    """A call in the history of a chat, without its id."""

    name: str
    arguments: str

    def block(self, call_id: str = "") -> str:
        """It as text of its turn."""
        return notation.call(self.name, notation.arguments_of(self.arguments), call_id)


class FormerCall(msgspec.Struct, tag="function", tag_field="type"):
    """A call in the history of a chat."""

    id: str
    function: FormerFunction

    def block(self) -> str:
        """It as text of its turn."""
        return self.function.block(self.id)


class TextFormat(msgspec.Struct, tag="text", tag_field="type"):
    """What is done anyway."""


class ObjectFormat(msgspec.Struct, tag="json_object", tag_field="type"):
    """Any object."""


class Described(msgspec.Struct):
    """A schema and its name; it is held to whether `strict` or not."""

    name: str
    schema: dict[str, Any] | None = None


class SchemaFormat(msgspec.Struct, tag="json_schema", tag_field="type"):
    """One by a schema."""

    json_schema: Described


def form_of(
    given: "TextFormat | ObjectFormat | SchemaFormat | FlatSchemaFormat | None",
) -> Format | None:
    """What an answer is to be, by OpenAI's words."""
    match given:
        case ObjectFormat():
            return Format()
        case SchemaFormat(json_schema):
            return Format(json_schema.schema, json_schema.name)
        case FlatSchemaFormat(name, schema):
            return Format(schema, name)
        case _:
            return None


class ResponseTool(Function, tag="function", tag_field="type"):
    """A tool of a response, which is flat."""


class ChosenResponseTool(msgspec.Struct, tag="function", tag_field="type"):
    """The choice of a response."""

    name: Name


class AllowedResponseTools(msgspec.Struct, tag="allowed_tools", tag_field="type"):
    """The same of a response."""

    mode: Mode
    tools: list[ChosenResponseTool]


FunctionChoice = Choice | ChosenFunction | Allowed
ResponseChoice = Choice | ChosenResponseTool | AllowedResponseTools


class Chosen(NamedTuple):
    """What any choice says: of all tools or those `allowed`, whether one is called, or which."""

    choice: Choice = "auto"
    name: str = ""
    allowed: Collection[str] | None = None

    def of(self, tools: Sequence[Tool]) -> list[Tool]:
        """The tools that may be called. Raises `InvalidRequest` for a name that is none's."""
        names = {tool.name for tool in tools}
        for name in self.allowed or ():
            if name not in names:
                told = f"allows {name!r}; must be of the tools"
                raise InvalidRequest(f"tool_choice: {told}", param="tool_choice")
        return [each for each in tools if self.allowed is None or each.name in self.allowed]


def chosen_of(given: FunctionChoice | ResponseChoice | None) -> Chosen:
    """What OpenAI's words say."""
    match given:
        case None:
            return Chosen()
        case ChosenFunction(Named(name)) | ChosenResponseTool(name):
            return Chosen("required", name)
        case Allowed(AllowedFunctions(mode, tools)):
            return Chosen(mode, allowed={each.function.name for each in tools})
        case AllowedResponseTools(mode, tools):
            return Chosen(mode, allowed={each.name for each in tools})
        case _:
            return Chosen(given)


class FlatSchemaFormat(msgspec.Struct, tag="json_schema", tag_field="type"):
    """The form of a response's text."""

    name: str
    schema: dict[str, Any]


class InputTool(msgspec.Struct):
    """A tool of Anthropic's clients; those that run at Anthropic's have other types."""

    name: Name
    input_schema: dict[str, Any]
    type: Literal["custom"] | None = None
    description: str | None = None
    strict: bool | None = None

    def tool(self) -> Tool:
        """It as every vocabulary has it."""
        return Tool(self.name, self.description or "", self.input_schema, bool(self.strict))


class InputChoice(msgspec.Struct):
    """What Anthropic's clients say of it; only type `tool` has a name."""

    type: Literal["auto", "any", "tool", "none"] = "auto"
    name: str = ""
    disable_parallel_tool_use: bool | None = None

    def choice(self) -> Choice:
        """In the words of the others."""
        return "none" if self.type == "none" else "auto" if self.type == "auto" else "required"

    def chosen(self) -> str:
        """The tool that has to be called. Raises `InvalidRequest` where its name is missing."""
        if self.type == "tool" and not self.name:
            param = "tool_choice.name"
            raise InvalidRequest(f"{param}: is missing; must be the tool's name", param=param)
        return self.name if self.type == "tool" else ""


class SchemaAlone(msgspec.Struct, tag="json_schema", tag_field="type"):
    """The form of an answer, as Anthropic's clients say it."""

    schema: dict[str, Any]


Tools = Annotated[list[FunctionTool], msgspec.Meta(max_length=MAX_TOOLS)]


def wanted(
    tools: Sequence[Tool],
    choice: Choice,
    chosen: str = "",
    *,
    is_parallel: bool = True,
    form: Format | None = None,
    form_param: str = "",
) -> Emulation | None:
    """What is to be emulated, if anything is; `form_param` is the field that says the form.

    Raises `InvalidRequest` for tools and forms that cannot be; schemas are looked at where it is
    known that they are wanted (`instruct.check`).
    """
    if not tools and choice == "auto" and form is None:
        return None
    _check(tools, choice, chosen)
    if form is not None and form.schema is not None:
        _check_form(form_param, form.schema)
    used = () if choice == "none" else tuple(tools)
    if not used and form is None:
        return None
    return Emulation(
        param="tools" if used else form_param,
        tools=used,
        choice="required" if choice == "required" or chosen else "auto",
        chosen=chosen,
        is_parallel=is_parallel,
        format=form,
        format_param=form_param if form is not None else "",
    )


def _check(tools: Sequence[Tool], choice: Choice, chosen: str) -> None:
    names = [tool.name for tool in tools]
    for number, tool in enumerate(tools):
        if tool.name in names[:number]:
            told = f"is the second one named {tool.name!r}; give each its own name"
            raise InvalidRequest(f"tools[{number}]: {told}", param=f"tools[{number}]")
    if chosen and chosen not in names:
        told = f"is {chosen!r}; must be one of the tools"
        raise InvalidRequest(f"tool_choice: {told}", param="tool_choice")
    if choice == "required" and not tools:
        told = "is 'required', and there are no tools; send some, or leave it out"
        raise InvalidRequest(f"tool_choice: {told}", param="tool_choice")


def _check_form(param: str, schema: dict[str, Any]) -> None:
    if (root := schema.get("type", "object")) in ("string", "number", "integer", "boolean", "null"):
        told = f"is a schema of type {root!r}; must be one of an object or an array"
        raise InvalidRequest(f"{param}: {told}", param=param)


def result(names: Mapping[str, str], call_id: str, content: str, *, is_error: bool = False) -> str:
    """What a call brought, as text of its turn; `names` are those of the calls before, by id.

    A call may have thousands of results: a name that is none, of any length, is not told with each.
    """
    name = names.get(call_id, "")
    return notation.result(call_id, name if _is_name(name) else "", content, is_error=is_error)
