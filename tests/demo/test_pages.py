"""The page as it is sent: the embedded model list, and nothing from elsewhere."""

import json
import re

import msgspec

from arenad.demo import catalog, pages


def test_model_list_is_found_by_its_anchors() -> None:
    """The list is read from the HTML as from an arena site: between two anchors, escaped."""
    html = pages.page(catalog.CATALOG)
    found = re.search(r'\\"initialModels\\":(\[.*?\]),\\"initialModelAId\\":\\"(.*?)\\"', html)
    assert found is not None
    listed = json.loads(json.loads(f'"{found[1]}"'))
    assert [model["publicName"] for model in listed] == [
        entry.public_name for entry in catalog.CATALOG
    ]
    assert found[2] == catalog.CATALOG[0].id


def test_payload_cannot_leave_its_element() -> None:
    """A name with markup in it stays text, and comes back whole."""
    nasty = msgspec.structs.replace(catalog.CATALOG[0], public_name='</script><b>"\\')
    payload = pages.payload((nasty,))
    assert "<" not in payload
    assert json.loads(json.loads(payload)[1])["initialModels"][0]["publicName"] == '</script><b>"\\'


def test_page_needs_nothing_from_elsewhere() -> None:
    """No inline script or style, no external address, no markup made from text."""
    html = pages.page(catalog.CATALOG)
    assert "style=" not in html
    assert not re.search(r"\son\w+=", html)
    assert not re.search(r"<script(?![^>]*(src=|application/json))", html)
    for name, asset in pages.assets().items():
        text = asset.body.decode().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|innerHTML|eval\(", text), name


def test_every_reference_of_the_page_is_there() -> None:
    """What the page and its modules refer to is served."""
    assets = pages.assets()
    named = set(re.findall(r'/demo/([\w.]+)"', pages.page(catalog.CATALOG)))
    for name in [name for name in assets if name.endswith(".js")]:
        named |= set(re.findall(r'from "\./([\w.]+)"', assets[name].body.decode()))
    assert named == set(assets)
