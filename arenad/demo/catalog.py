"""Which models the demo arena offers, as the page lists them. No I/O."""

import msgspec

from arenad.schema.config import DemoConfig

OWN = "arenad"
UPSTREAM = "demo-upstream"


class Kinds(msgspec.Struct, frozen=True):
    """Kinds of content, each true where it is taken or given."""

    text: bool = True


class Reach(msgspec.Struct, frozen=True, rename="camel"):
    """What a model takes and gives."""

    input_capabilities: Kinds = Kinds()
    output_capabilities: Kinds = Kinds()


class Entry(msgspec.Struct, frozen=True, rename="camel"):
    """One model as the page's embedded list has it; `id` is what requests name."""

    id: str
    public_name: str
    organization: str
    summary: str
    capabilities: Reach = Reach()


CATALOG: tuple[Entry, ...] = (
    Entry(
        "e0dcb360-e279-4a29-9510-0436444cb4d3",
        "demo-eliza",
        OWN,
        "Talks with you, in the manner of 1966",
    ),
    Entry("b4defbf0-08dc-40c0-95f6-31606b18425f", "demo-echo", OWN, "Says it back, word by word"),
    Entry("456e9684-9b66-4f9b-afe8-e8f727b33105", "demo-echo-instant", OWN, "Says it back at once"),
    Entry(
        "1949b55c-3932-4d17-9e5c-6861aec64d3d",
        "demo-long",
        OWN,
        "Writes as many bytes of Markdown as you name",
    ),
    Entry(
        "e3bd928e-287a-400c-ad6c-916cd0b5875c",
        "demo-slow-start",
        OWN,
        "Thinks for three seconds, then says it back",
    ),
)
"""The first one is what a new chat starts with."""

UPSTREAM_ID = "39a18aa0-1f1f-48ea-9ff1-a8a81d6a4828"


def offered(demo: DemoConfig) -> tuple[Entry, ...]:
    """The models on offer; the upstream one only where an upstream is configured."""
    if not demo.upstream_url:
        return CATALOG
    summary = f"Asks {demo.upstream_model or 'a model'} behind an OpenAI-compatible address"
    return (*CATALOG, Entry(UPSTREAM_ID, UPSTREAM, "upstream", summary))
