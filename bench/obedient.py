"""An upstream that does as it is told: the part of a model that tests of tools need."""

import json
import re
from collections.abc import Iterator
from typing import Any

from arenad import notation
from bench.upstream import ASKED, Upstream

WORDS = "Very well, thank you."

_NEXT = re.compile(r"(?:^|\n\n)User:\n")
_AFTER = "\n\nAssistant:"
_TOOLS = re.compile(r"The tools, one to a line:\n((?:\{.*\}\n?)+)")
_CHOSEN = re.compile(r'has to be a call of the tool (".*?")\.')
_ANY = "has to be a call of one of these tools"
_JSON = re.compile(r"one JSON (?:object|array) and nothing else")
_SCHEMA = re.compile(r"valid by this JSON Schema.*:\n(\{.*\})")
_NUMBER = re.compile(r"\d+")
_NAMED = re.compile(r"\b[A-Z]\w+")
_QUOTED = re.compile(r"'([^' ]+)'")

Schema = dict[str, Any]


class Obedient(Upstream):
    """Numbered answers where one is asked for; else it obeys."""

    def said(self, wish: dict[str, Any]) -> tuple[str, int]:
        """A call of the tool that the request names, an object for its schema, or a few words."""
        texts = [str(message["content"]) for message in wish["messages"]]
        if ASKED.fullmatch(texts[-1]):
            return super().said(wish)
        return obeyed(texts), 1


def obeyed(texts: list[str]) -> str:
    """The answer to a chat of these texts, the last of which may be a folded conversation."""
    told = "\n\n".join(texts)
    asked = _NEXT.split(texts[-1])[-1].removesuffix(_AFTER)
    tool = _tool(told, asked)
    if tool is not None:
        return notation.call(tool["name"], Maker(tool["parameters"], asked).value())
    if _JSON.search(told):
        schemas = _SCHEMA.findall(told)
        schema = json.loads(schemas[-1]) if schemas else _keyed(asked)
        return json.dumps(Maker(schema, asked).value(), ensure_ascii=False)
    return WORDS


def _tool(told: str, asked: str) -> Schema | None:
    """The one that has to be called, or one that the last message has a word of."""
    listed = _TOOLS.findall(told)
    tools = [json.loads(line) for line in listed[-1].splitlines() if line] if listed else []
    if f"{notation.FENCE}{notation.RESULT}" in asked:
        return None
    chosen = {json.loads(name) for name in _CHOSEN.findall(told)[-1:]}
    named = [each for each in tools if each["name"] in chosen]
    meant = [each for each in tools if _is_meant(each["name"], asked)]
    return next(iter(named or meant or (tools if _ANY in told else [])), None)


def _is_meant(name: str, asked: str) -> bool:
    words = set(re.findall(r"[a-z]+", name.lower()))
    return bool(words & set(re.findall(r"[a-z]+", asked.lower())))


def _keyed(asked: str) -> Schema:
    """Of an object that nothing else is known of: the keys that are quoted."""
    keys = _QUOTED.findall(asked) or ["answer"]
    return {"type": "object", "properties": {key: {"type": "string"} for key in keys}}


class Maker:
    """Makes a value for a schema, of the numbers and names in a text as they come."""

    def __init__(self, schema: Schema, text: str) -> None:
        """Nothing of the text is used yet."""
        self._schema = schema
        self._numbers = iter([int(each) for each in _NUMBER.findall(text)])
        self._names: Iterator[str] = iter([*_QUOTED.findall(text), *_NAMED.findall(text)])

    def value(self) -> Any:
        """All of it."""
        return self._made(self._schema)

    def _made(self, schema: Schema) -> Any:
        schema = self._resolved(schema)
        if "const" in schema or "enum" in schema:
            return schema.get("const", schema.get("enum", [None])[0])
        kinds = schema.get("type", "object")
        match kinds[0] if isinstance(kinds, list) else kinds:
            case "object":
                named = schema.get("properties", {})
                return {name: self._made(each) for name, each in named.items()}
            case "array":
                return [self._made(schema.get("items", {"type": "string"}))]
            case kind:
                return self._one(kind)

    def _one(self, kind: str) -> Any:
        match kind:
            case "integer" | "number":
                return next(self._numbers, 1)
            case "boolean":
                return True
            case "string":
                return next(self._names, "something")
            case _:
                return None

    def _resolved(self, schema: Schema) -> Schema:
        """What a reference leads to, or the first of several ways."""
        while ways := [schema[key] for key in ("anyOf", "oneOf", "allOf") if key in schema]:
            schema = ways[0][0]
        if "$ref" not in schema:
            return schema
        found = self._schema
        for step in schema["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        return self._resolved(found)
