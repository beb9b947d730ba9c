"""The other pages as they are sent."""

import re

import pytest

from arenad.demo import catalog
from arenad.demo.other import pages
from arenad.demo.other.pages import Transport


@pytest.mark.parametrize("transport", pages.TRANSPORTS, ids=lambda each: each.name)
def test_each_page_has_its_landmarks(transport: Transport) -> None:
    """Box, buttons, models and the way to a new chat, under the agreed names."""
    html = pages.page(transport, catalog.CATALOG)
    assert html.count("<textarea") == 1
    assert re.search(r'<button type="submit"[^>]*>Send message</button>', html)
    assert re.search(r'<button type="button"[^>]*>Stop generation</button>', html)
    assert f'href="/other/{transport.name}">New chat</a>' in html
    for entry in catalog.CATALOG:
        assert f"<option>{entry.public_name}</option>" in html
    assert "<!-- " not in html
    assert "style=" not in html


def test_every_reference_is_there() -> None:
    """What the pages and their modules refer to is served, and nothing lies there unused."""
    assets = pages.assets()
    named: set[str] = set()
    for transport in pages.TRANSPORTS:
        html = pages.page(transport, catalog.CATALOG)
        named |= set(re.findall(r'/other/parts/([\w.]+)"', html))
    for name in [name for name in assets if name.endswith(".js")]:
        text = assets[name].body.decode()
        named |= set(re.findall(r'from "\./([\w.]+)"', text))
        assert not re.search(r"https?://|innerHTML|eval\(", text), name
    assert named == set(assets)


def test_only_the_strict_page_is_strict() -> None:
    """It allows no markup from text at all."""
    strict = {each.name for each in pages.TRANSPORTS if "trusted-types" in each.policy}
    assert strict == {"dom"}
