"""The page as it is sent: the embedded model list, and nothing from elsewhere."""

import json
import re

import msgspec
import pytest

from arenad.demo import catalog, pages
from arenad.demo.variants import VARIANTS


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


ANCHORS = {
    "demo": r'\\"initialModels\\":(\[.*?\]),\\"initialModelAId\\"',
    "2025-07": r'\\"initialState\\":(\[.*?\]),\\"modelAId\\"',
    "2025-08": r'\[\\"\$\\",\\"models\\",null,(\{\\"id\\".*)\]"\]',
    "2025-09": r'\\"initialModels\\":(\[.*?\]),\\"initialModelAId\\"',
    "2025-11": r'\\"initialModels\\":(\[.*?\]),\\"initialModelAId\\"',
    "2026": r'\\"initialModels\\":(\[.*?\]),\\"initialModelAId\\"',
}


@pytest.mark.parametrize("name", VARIANTS)
def test_each_variant_has_its_anchor(name: str) -> None:
    """The key of its time, and no other's; in August 2025 the models stand there without one."""
    html = pages.page((*catalog.CATALOG, catalog.STEALTH), VARIANTS[name])
    found = re.search(ANCHORS[name], html)
    assert found is not None
    listed = json.loads(json.loads(f'"[{found[1].strip("[]")}]"'))
    assert listed[0]["publicName"] == catalog.CATALOG[0].public_name
    assert len(listed) == len(catalog.CATALOG) + 1
    assert {key for key in ("initialModels", "initialState") if key in html} == (
        {VARIANTS[name].anchor} - {""}
    )


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
