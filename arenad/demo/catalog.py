"""Which models the demo arena offers, as the page lists them. No I/O."""

from typing import Literal

import msgspec

from arenad.demo.protocol import Modality
from arenad.schema.config import DemoConfig

OWN = "arenad"
UPSTREAM = "demo-upstream"


class Pictures(msgspec.Struct, frozen=True, rename="camel"):
    """How a model takes pictures, and files of other kinds with them."""

    multiple_images: bool = True
    requires_upload: bool = True


class Drawn(msgspec.Struct, frozen=True, rename="camel"):
    """The shapes of the pictures that a model draws."""

    aspect_ratios: tuple[str, ...] = ("1:1",)


class Taken(msgspec.Struct, frozen=True):
    """What a model takes."""

    text: bool = True
    image: Pictures | Literal[False] = False


class Given(msgspec.Struct, frozen=True):
    """What a model gives."""

    text: bool = True
    search: bool = False
    image: Drawn | Literal[False] = False


class Reach(msgspec.Struct, frozen=True, rename="camel"):
    """What a model takes and gives."""

    input_capabilities: Taken = Taken()
    output_capabilities: Given = Given()


class Entry(msgspec.Struct, frozen=True, rename="camel"):
    """One model as the page's embedded list has it; `id` is what requests name."""

    id: str
    public_name: str
    organization: str | None
    summary: str
    capabilities: Reach = Reach()

    @property
    def modality(self) -> Modality:
        """The kind of chat that it answers in."""
        given = self.capabilities.output_capabilities
        return "image" if given.image else "search" if given.search else "chat"

    @property
    def takes_files(self) -> bool:
        """Whether a message to it may bring files."""
        return bool(self.capabilities.input_capabilities.image)


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
    Entry(
        "f2e5be0f-20cf-4f4c-8c4e-5c1f0f6a3a51",
        "demo-reasoning",
        OWN,
        "Reasons aloud, then says it back",
    ),
    Entry(
        "0d9a3b64-8e1f-4f0e-9a7b-5b0f64c6f0a2",
        "demo-image",
        OWN,
        "Draws a small picture of your words",
        Reach(output_capabilities=Given(text=False, image=Drawn())),
    ),
    Entry(
        "7c1d5f5e-2f0c-4f3c-8d9e-3e1d6b7a9c43",
        "demo-search",
        OWN,
        "Names its sources",
        Reach(output_capabilities=Given(search=True)),
    ),
    Entry(
        "5be3c6a9-4f35-4d57-b0a4-0a8f2f1c7de4",
        "demo-files",
        OWN,
        "Tells which files it got, with their hashes",
        Reach(input_capabilities=Taken(image=Pictures())),
    ),
    Entry(
        "a7d2c1f4-63b8-4e0d-8c15-92e4b0f7d6a1",
        "demo-clock",
        OWN,
        "Tells the time, as often as you name",
    ),
)
"""The first one is what a new chat starts with."""

STEALTH = Entry(
    "c0ffee00-5d3a-4a51-9c6f-6f9f5d0b1a75",
    "demo-stealth",
    None,
    "Not released yet: speaks in battles only",
)
"""Listed by the dated variants, and refused there when it is chosen by name."""

UPSTREAM_ID = "39a18aa0-1f1f-48ea-9ff1-a8a81d6a4828"


def offered(demo: DemoConfig) -> tuple[Entry, ...]:
    """The models on offer; the upstream one only where an upstream is configured."""
    if not demo.upstream_url:
        return CATALOG
    summary = f"Asks {demo.upstream_model or 'a model'} behind an OpenAI-compatible address"
    return (*CATALOG, Entry(UPSTREAM_ID, UPSTREAM, "upstream", summary))
