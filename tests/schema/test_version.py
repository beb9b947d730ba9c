"""The version of the schema is raised whenever a message changes: two of one version understand each other."""

import hashlib
from typing import Any

import msgspec

from arenad.schema import SCHEMA_VERSION
from arenad.schema.frame import Frame

KNOWN = (10, "ac004755f8751738")
"""The version, and the digest of all that its messages are made of."""


def _shape(schema: Any) -> Any:
    """A JSON schema without its words."""
    if isinstance(schema, dict):
        return {key: _shape(schema[key]) for key in schema if key not in ("description", "title")}
    return [_shape(each) for each in schema] if isinstance(schema, list) else schema


def _digest() -> str:
    told = msgspec.json.encode(_shape(msgspec.json.schema(Frame)), order="deterministic")
    return hashlib.sha256(told).hexdigest()[:16]


def test_the_version_is_that_of_these_messages() -> None:
    """Changed a message? Raise `SCHEMA_VERSION`, and write it here with the digest that this tells."""
    assert (SCHEMA_VERSION, _digest()) == KNOWN
