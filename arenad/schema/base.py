"""The two bases that every struct of the schema has, and a type that two parts of it share."""

from typing import Annotated, dataclass_transform

import msgspec

MediaType = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^(\*/\*|[a-z]+/(\*|[a-z0-9][a-z0-9.+-]*))\Z",
        description="a type such as image/png, or image/* for all of a kind",
    ),
]


@dataclass_transform(frozen_default=True, field_specifiers=(msgspec.field,))
class MessageType(msgspec.StructMeta):
    """Tells type checkers what `Message` tells msgspec: its fields are frozen."""


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class RecordType(msgspec.StructMeta):
    """Tells type checkers what `Record` tells msgspec: fields are frozen and given by name."""


class Message(
    msgspec.Struct,
    metaclass=MessageType,
    frozen=True,
    array_like=True,
    forbid_unknown_fields=True,
    tag=True,
    gc=False,
):
    """A body on the wire: a MessagePack array whose first item is the name of the type."""


class Record(
    msgspec.Struct,
    metaclass=RecordType,
    frozen=True,
    forbid_unknown_fields=True,
    gc=False,
    kw_only=True,
):
    """A part of a message, or of a file that people read as JSON or YAML: a map of named fields."""
