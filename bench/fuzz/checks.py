"""What schemathesis looks at beside its own checks; loaded by it, in its own environment."""

import json
from typing import Any

import jsonschema_rs
import schemathesis

Json = dict[str, Any]

EVENTS = "text/event-stream"
_PLACE = "#/components/schemas/"
NOT_OBEYED = {"response_format_not_met", "tool_call_missing"}
_judges: dict[str, jsonschema_rs.Draft202012Validator] = {}


@schemathesis.check
def no_fault_of_ours(_context: object, response: Any, case: Any) -> None:
    """No status of a server's fault, but where an echo cannot obey: make the JSON, or call."""
    if response.status_code < 500:
        return
    error = response.json()["error"]
    code = error.get("code") or error["details"]["error_code"]
    if response.status_code != 502 or code not in NOT_OBEYED:
        raise AssertionError(f"{response.status_code} to {case.operation.label}: {error}")


@schemathesis.check
def events_are_as_they_say(_context: object, response: Any, case: Any) -> None:
    """Each event of a stream is as the document says, and the stream has an end."""
    if not response.headers.get("content-type", [""])[0].startswith(EVENTS):
        return
    raw = case.operation.schema.raw_schema
    told = raw["paths"][case.operation.path]["post"]["responses"]["200"]
    told = raw["components"]["responses"][told["$ref"].rpartition("/")[2]]
    judge = _judge(told["content"][EVENTS]["x-event-schema"], raw["components"])
    blocks = [each for each in response.text.split("\n\n") if each]
    told_of = [_data(block) for block in blocks if not block.startswith(":")]
    for each in told_of:
        if each != "[DONE]" and (fault := next(judge.iter_errors(json.loads(each)), None)):
            raise AssertionError(f"{fault.message[:300]} in the event {each[:300]}")
    if not response.text.endswith("\n\n") or not _is_end(told_of[-1]):
        raise AssertionError(f"the stream ends with {response.text[-300:]!r}")


def _data(block: str) -> str:
    return block.rpartition("data: ")[2]


def _is_end(told: str) -> bool:
    if told == "[DONE]":
        return True
    event = json.loads(told)
    ends = ("message_stop", "response.completed", "response.incomplete")
    return "error" in event or event.get("type") in ends


def _judge(schema: Json, components: Json) -> jsonschema_rs.Draft202012Validator:
    key = json.dumps(schema)
    if key not in _judges:
        _judges[key] = jsonschema_rs.Draft202012Validator({**schema, "components": components})
    return _judges[key]
