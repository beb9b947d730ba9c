"""Our own OpenAPI document as the judge of what we take and of what we answer."""

import functools
import json
from typing import Any

import jsonschema_rs
import official

from arenad.frontend import openapi
from arenad.frontend.api import VOCABULARIES, scope_of

Json = dict[str, Any]

DOCUMENT: Json = openapi.document(VOCABULARIES, scope_of, "0.1.0")
COMMON_HEADERS = frozenset(
    [
        "allow",
        "cache-control",
        "connection",
        "content-length",
        "content-type",
        "date",
        "server",
        "vary",
        "access-control-allow-origin",
        "access-control-expose-headers",
        "transfer-encoding",
        "x-accel-buffering",
        "content-security-policy",
        "x-content-type-options",
        "referrer-policy",
    ]
)
"""What an answer may have that stands for itself."""


def found(value: Json) -> Json:
    """What a reference leads to."""
    at: Any = DOCUMENT
    for step in value["$ref"].removeprefix("#/").split("/") if "$ref" in value else ():
        at = at[step]
    return at if "$ref" in value else value


def operation(method: str, path: str) -> Json:
    """What is told of one."""
    return DOCUMENT["paths"][path][method.lower()]


def taken(path: str) -> Json:
    """The schema of what a path takes."""
    return operation("post", path)["requestBody"]["content"][openapi.JSON]["schema"]


def faults_in(schema: Json, value: Any) -> list[str]:
    """What is wrong with a value; nothing if it is as the schema says."""
    judge = _judge(json.dumps(schema))
    if judge.is_valid(value):
        return []
    told = json.dumps(value, ensure_ascii=False)[:300]
    return [
        f"{each.message[:300]} at {each.instance_path}: {told}" for each in judge.iter_errors(value)
    ]


@functools.cache
def _judge(schema: str) -> jsonschema_rs.Draft202012Validator:
    whole = {**json.loads(schema), "components": DOCUMENT["components"]}
    return jsonschema_rs.Draft202012Validator(whole)


def faults_of(
    method: str, path: str, status: int, headers: dict[str, str], body: bytes
) -> list[str]:
    """What is wrong with an answer: its status, headers, type and content."""
    responses = operation(method, path)["responses"]
    if str(status) not in responses:
        return [f"{method} {path}: the status {status} is not told of"]
    response = found(responses[str(status)])
    known = {name.lower() for name in response["headers"]} | COMMON_HEADERS
    told = [f"the header {name} is not told of" for name in headers if name.lower() not in known]
    media = headers.get("content-type", "").partition(";")[0]
    return told + _faults_of_content(response.get("content", {}), media, body)


def _faults_of_content(content: Json, media: str, body: bytes) -> list[str]:
    if not body:
        return []
    (kind,) = [each for each in (media, f"{media.partition('/')[0]}/*") if each in content] or [""]
    if not kind:
        return [f"the type {media!r} is not told of, beside {', '.join(content)}"]
    if media == openapi.EVENTS:
        return faults_of_events(content[kind]["x-event-schema"], body)
    return faults_in(content[kind].get("schema", {}), json.loads(body)) if _is_json(media) else []


def _is_json(media: str) -> bool:
    return media == openapi.JSON


def faults_of_events(schema: Json, body: bytes) -> list[str]:
    """What is wrong with the events of a stream."""
    return [
        fault
        for _, data in official.events_of(body)
        if data != official.DONE
        for fault in faults_in(schema, json.loads(data))
    ]


def events_of(path: str) -> Json:
    """The schema of each event that a path streams."""
    content = found(operation("post", path)["responses"]["200"])["content"]
    return content[openapi.EVENTS]["x-event-schema"]


def whole_of(path: str) -> Json:
    """The schema of a whole answer of a path."""
    return found(operation("post", path)["responses"]["200"])["content"][openapi.JSON]["schema"]


def refusal_of(path: str, status: int) -> Json:
    """The schema of an error of a path."""
    return found(operation("post", path)["responses"][str(status)])["content"][openapi.JSON][
        "schema"
    ]
