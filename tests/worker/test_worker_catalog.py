"""The model list in each form in which arena sites have embedded it."""

import html
import json

import pytest

from arenad.demo import catalog, pages
from arenad.errors import ProfileOutdated
from arenad.schema.process import Model
from arenad.worker.sites.catalog import models_in

LIST = [
    {"id": "u1", "publicName": 'Ünï "quoted" \\ </x>', "organization": "one", "rank": 1},
    {"id": "u2", "publicName": "plain", "capabilities": {"inputCapabilities": {"text": True}}},
    {"id": "u3", "publicName": "", "organization": "nameless"},
    {"id": "u4", "organization": "no name"},
    {"id": "u5", "publicName": 7},
    "no object",
    {"id": "u6", "publicName": "plain", "organization": "twice"},
    {"id": "u7", "publicName": "odd owner", "organization": {"name": "x"}},
]
MODELS = (
    Model(id='Ünï "quoted" \\ </x>', owner="one"),
    Model(id="plain", owner="twice"),
    Model(id="odd owner"),
)


def _escaped(text: str, times: int) -> str:
    for _ in range(times):
        text = json.dumps(text)
    return text


@pytest.mark.parametrize("anchor", ["initialState", "initialModels"])
@pytest.mark.parametrize("escapes", [0, 1, 2, 3])
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("ascii_only", [True, False])
def test_each_anchor_at_each_depth(
    anchor: str, escapes: int, indent: int | None, ascii_only: bool
) -> None:
    """Plain JSON, JSON in a string, in a string of a string: laid out in any way."""
    state = {"first": [1], anchor: LIST, "initialModelAId": "u1"}
    text = _escaped(json.dumps(state, indent=indent, ensure_ascii=ascii_only), escapes)
    page = f'<!doctype html><p title="x">"</p><script>push([1,{text}])</script><p>"more"'
    assert models_in(page, anchor) == MODELS


def test_a_list_in_an_attribute() -> None:
    """HTML's own escapes are taken off where there is no list without."""
    state = json.dumps({"initialModels": LIST[:2]})
    page = f'<div data-state="{html.escape(state)}">'
    assert models_in(page, "initialModels") == (MODELS[0], Model(id="plain"))


def test_the_first_real_list_is_taken() -> None:
    """Places that only name the key, or hold something else behind it, are passed over."""
    lists = json.dumps({"initialModels": [{"publicName": "real"}]})
    page = (
        'x.initialModels; {"initialModels":null} {"initialModels":[]} {"initialModels": [broken '
        f'\\"initialModels\\":[broken {{"initialModels":{"[" * 100_000} {lists}'
    )
    assert models_in(page, "initialModels") == (Model(id="real"),)


def test_the_demos_own_page_is_read() -> None:
    """The list that the demo arena embeds, in its real page."""
    models = models_in(pages.page(catalog.CATALOG), "initialModels")
    assert [model.id for model in models] == [entry.public_name for entry in catalog.CATALOG]


@pytest.mark.parametrize("page", ["", "<html>", '{"otherModels":[{"publicName":"x"}]}'])
def test_a_missing_list_is_named(page: str) -> None:
    """The error says which anchor is gone."""
    with pytest.raises(ProfileOutdated, match="no model list behind 'initialModels'"):
        models_in(page, "initialModels")
