"""What a page has no switch for, put into words: tools, and the answer's form. A brain: no I/O.

The words are joined to the instructions, where they stay the same as long as the tools do, so that
a conversation goes on where it is held. `obeyed` reads what the model makes of them.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any, Literal, cast

import msgspec
from msgspec.structs import replace

from arenad import notation
from arenad.frontend import parts, schemas
from arenad.schema.chat import Turn

Choice = Literal["auto", "required"]

_encode = msgspec.json.Encoder().encode


def _encoded(value: object) -> str:
    return _encode(value).decode()


class Tool(msgspec.Struct, frozen=True):
    """A function of the client's; `parameters` is the JSON schema of its arguments.

    Without `is_strict` arguments are an object, whatever is in it: the client looks at them itself.
    """

    name: str
    description: str = ""
    parameters: dict[str, Any] | None = None
    is_strict: bool = False


class Format(msgspec.Struct, frozen=True):
    """JSON is wanted, an object where no `schema` says more."""

    schema: dict[str, Any] | None = None
    name: str = ""


class Emulation(msgspec.Struct, frozen=True):
    """What is wanted. `param` is the request's field that says so, `format_param` that of the form.

    `chosen` is the tool that has to be called. `is_parallel`: whether several calls may come.
    """

    param: str
    tools: tuple[Tool, ...] = ()
    choice: Choice = "auto"
    chosen: str = ""
    is_parallel: bool = True
    format: Format | None = None
    format_param: str = ""


def check(wanted: Emulation) -> None:
    """Raises `InvalidRequest` for schemas that cannot be held against what the model says."""
    tools = enumerate(wanted.tools)
    given = {f"tools[{at}]": each.parameters for at, each in tools if each.parameters is not None}
    if wanted.format is not None and wanted.format.schema is not None:
        given[wanted.format_param] = wanted.format.schema
    schemas.check(given)


# -- words ----------------------------------------------------------------------------------------

_HOW = f"""\
You can call tools. To call one, write a block of exactly this form:

{notation.FENCE}{notation.CALL}
{{"name": "the name of the tool", "arguments": {{"each parameter": "its value"}}}}
{notation.FENCE}

The arguments are one JSON object, valid by the tool's parameters, which are a JSON Schema. \
Write nothing after a call: what it brought is given to you with the next message, in a block \
{notation.RESULT}."""

_SEVERAL = "To make several calls at once, write one block for each."
_ONE = "Make one call at a time."
_AUTO = "Call a tool where that is of use; else answer in words, without any such block."
_REQUIRED = "Your next answer has to be a call of one of these tools."
_CHOSEN = "Your next answer has to be a call of the tool {}."

_MOST_REFERENCES = 16
_JSON = """\
Answer with one JSON {} and nothing else: no words before or after it, and no fence around it."""
_SCHEMA = "It has to be valid by this JSON Schema{}:\n{}"


def instruction(wanted: Emulation) -> str:
    """All that the model is told."""
    told: list[str] = []
    if wanted.tools:
        told += [f"{_HOW} {_SEVERAL if wanted.is_parallel else _ONE} {_choice(wanted)}"]
        told += ["The tools, one to a line:\n" + "\n".join(map(_tool, wanted.tools))]
    if wanted.format is not None:
        told += [_form(wanted.format, or_call=bool(wanted.tools))]
    return "\n\n".join(told)


def _choice(wanted: Emulation) -> str:
    if wanted.chosen:
        return _CHOSEN.format(_encoded(wanted.chosen))
    return _REQUIRED if wanted.choice == "required" else _AUTO


def _tool(tool: Tool) -> str:
    described = {"description": tool.description} if tool.description else {}
    parameters = tool.parameters or {"type": "object", "properties": {}}
    return _encoded({"name": tool.name, **described, "parameters": parameters})


def _form(form: Format, *, or_call: bool) -> str:
    begin = "Where you call no tool: " if or_call else ""
    told = begin + _JSON.format(kind_of(form))
    if form.schema is None:
        return told
    name = f" ({form.name})" if form.name else ""
    return f"{told} {_SCHEMA.format(name, _encoded(form.schema))}"


Kind = Literal["object", "array", "object or array"]


def kind_of(form: Format) -> Kind:
    """What the JSON is at its root; an object where the schema does not say."""
    kinds = _kinds_of(form.schema or {}, form.schema or {}, _MOST_REFERENCES)
    if "array" not in kinds:
        return "object"
    return "object or array" if "object" in kinds else "array"


def _kinds_of(schema: Mapping[str, Any], root: Mapping[str, Any], references: int) -> set[str]:
    """All that a schema names by its type, its alternatives, or what it refers to in the root."""
    if isinstance(kind := schema.get("type"), str):
        return {kind}
    if isinstance(kind, list):
        return set(map(str, cast("list[object]", kind)))
    given = (schema.get("anyOf"), schema.get("oneOf"))
    inner = [way for ways in given if isinstance(ways, list) for way in cast("list[Any]", ways)]
    if isinstance(reference := schema.get("$ref"), str):
        inner.append(_referred(reference, root))
    left = references - len(inner)
    known = [cast("dict[str, Any]", each) for each in inner if isinstance(each, dict) and left > 0]
    return set[str]().union(*(_kinds_of(each, root, left) for each in known)) or {"object"}


def _referred(reference: str, root: Mapping[str, Any]) -> Any:
    """What stands in the root at a place such as `#/$defs/name` (RFC 6901)."""
    found: Any = root
    for step in reference.removeprefix("#").split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        found = cast("dict[str, Any]", found).get(name) if isinstance(found, dict) else None
    return found


def again(said: str, fault: str) -> tuple[Turn, ...]:
    """The turns more where the model has `said` something else than it was told to."""
    told = f"That is not what was asked for: {fault}. Answer once more, as you were told to."
    return Turn(role="assistant", text=said), Turn(role="user", text=told)


# -- turns ----------------------------------------------------------------------------------------


def arranged(
    turns: Sequence[Turn],
    remote: Sequence[parts.Remote],
    joins: Collection[int],
    wanted: Emulation | None,
) -> tuple[tuple[Turn, ...], tuple[parts.Remote, ...]]:
    """The turns as the page is given them, and the files to be fetched at their new places.

    Those in `joins` are one with the turn before, as the results of several calls are; then what
    the model has to be told stands with the instructions.
    """
    if wanted is None and not joins:
        return tuple(turns), tuple(remote)
    groups: list[list[Turn]] = []
    if wanted is not None and not (turns and turns[0].role == "system"):
        groups.append([Turn(role="system", text="")])
    awaited = Counter(each.turn for each in remote)
    places: list[tuple[int, int]] = []
    files = 0
    for number, turn in enumerate(turns):
        if number not in joins or not groups:
            groups.append([])
            files = 0
        groups[-1].append(turn)
        places.append((len(groups) - 1, files))
        files += len(turn.attachments) + awaited[number]
    if wanted is not None:
        groups[0].append(Turn(role="system", text=instruction(wanted)))
    return tuple(map(_joined, groups)), tuple(map(partial(_moved, places), remote))


def _joined(group: Sequence[Turn]) -> Turn:
    """They as one, all at once: a history may hold thousands of results in a row."""
    text = "\n\n".join(each.text for each in group if each.text)
    files = tuple(file for each in group for file in each.attachments)
    return replace(group[0], text=text, attachments=files)


def _moved(places: Sequence[tuple[int, int]], file: parts.Remote) -> parts.Remote:
    turn, before = places[file.turn]
    return replace(file, turn=turn, place=file.place + before)
