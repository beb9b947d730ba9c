"""The model list in each form in which arena sites have embedded it."""

import contextlib
import html
import json

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from arenad import profiles
from arenad.demo import catalog, pages
from arenad.errors import ProfileOutdated
from arenad.schema.process import Model
from arenad.schema.profile import ModelRules
from arenad.worker.sites.catalog import (
    models_in,
    models_named,
    models_of,
    with_aliases,
    with_modes,
)

RULES = ModelRules(anchor="initialModels")

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
MODEL = Model(id="real")
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
    assert models_in(page, ModelRules(anchor=anchor)) == MODELS


def test_a_list_in_an_attribute() -> None:
    """HTML's own escapes are taken off where there is no list without."""
    state = json.dumps({"initialModels": LIST[:2]})
    page = f'<div data-state="{html.escape(state)}">'
    assert models_in(page, RULES) == (MODELS[0], Model(id="plain"))


def test_the_first_real_list_is_taken() -> None:
    """Places that only name the key, or hold something else behind it, are passed over."""
    lists = json.dumps({"initialModels": [{"publicName": "real"}]})
    page = (
        'x.initialModels; {"initialModels":null} {"initialModels":[]} {"initialModels": [broken '
        f'\\"initialModels\\":[broken {{"initialModels":{"[" * 100_000} {lists}'
    )
    assert models_in(page, RULES) == (Model(id="real"),)


@pytest.mark.parametrize("escapes", range(4))
def test_the_key_may_stand_there_any_number_of_times(escapes: int) -> None:
    """A string is read once, however often the key is in it; what is no list is passed over."""
    page = '"initialModels":1,' * 50_000 + '"initialModels":[{"publicName": "real"}]'
    for _ in range(escapes):
        page = json.dumps(page)
    assert models_in(page, RULES) == (MODEL,)
    for decoy in ('"initialModels":[],', '"initialModels":[1,},', '"\\"initialModels\\":[{}]",'):
        page = f'{decoy * 1000}"initialModels":[{{"publicName": "real"}}]'
        assert models_in(page, RULES) == (MODEL,)
    unreadable = '"' + '\\"initialModels\\":1,\\x' * 20_000 + '"'
    with pytest.raises(ProfileOutdated):
        models_in('"initialModels":[' * 50_000 + "<", RULES)
    with pytest.raises(ProfileOutdated):
        models_in(unreadable, RULES)


def test_the_demos_own_page_is_read() -> None:
    """The list that the demo arena embeds, in its real page."""
    models = models_in(pages.page(catalog.CATALOG), RULES)
    assert [model.id for model in models] == [entry.public_name for entry in catalog.CATALOG]


@pytest.mark.parametrize("page", ["", "<html>", '{"otherModels":[{"publicName":"x"}]}'])
def test_a_missing_list_is_named(page: str) -> None:
    """The error says which anchor is gone."""
    with pytest.raises(ProfileOutdated, match="no model list behind 'initialModels'"):
        models_in(page, RULES)


# -- other sources ----------------------------------------------------------------------------------


def test_a_list_of_the_sites_own_address() -> None:
    """Names alone, or objects with the fields that the profile names, at the place it names."""
    rules = ModelRules(json_path="/m", json_list="data.models", id_field="id", owner_field="by")
    listed = {"data": {"models": [{"id": "a", "by": "x"}, "b", {"name": "c"}]}}
    assert models_of(listed, rules) == (Model(id="a", owner="x"), Model(id="b"))
    assert models_of(["a"], ModelRules(json_path="/m")) == (Model(id="a"),)
    rules_of_each = ModelRules(json_path="/m", json_list="parts.*[type=list].of.*.0")
    parts = [{"type": "list", "of": [["a", 1], ["b", 2]]}, {"type": "box", "of": [["c"]]}]
    assert [model.id for model in models_of({"parts": parts}, rules_of_each)] == ["a", "b"]
    for value in ({}, {"data": []}, [], None, "x", {"data": {"models": []}}):
        with pytest.raises(ProfileOutdated, match=r"/m has no list at data\.models"):
            models_of(value, rules)


def test_names_that_the_page_shows() -> None:
    """Options as they stand; none at all is a landmark that is gone."""
    assert [model.id for model in models_named(["a", "b", "a"], ModelRules())] == ["a", "b"]
    with pytest.raises(ProfileOutdated, match="the landmark models"):
        models_named([], ModelRules())


def test_aliases_are_further_names_of_what_is_there() -> None:
    """An alias of a model that is gone is gone too, and none takes a model's place."""
    models = (Model(id="a", owner="x"), Model(id="b"))
    rules = ModelRules(aliases={"gpt": "a", "lost": "c", "b": "a"})
    assert with_aliases(models, rules) == (*models, Model(id="gpt", owner="x"))


def test_capabilities_are_read_or_told() -> None:
    """From the page's own words for them; the profile's word counts more."""
    entry = {
        "publicName": "a",
        "capabilities": {
            "inputCapabilities": {"text": True, "image": {"multipleImages": True}},
            "outputCapabilities": {"image": {"aspectRatios": ["1:1"]}, "web": True},
        },
    }
    page = json.dumps({"initialModels": [entry]})
    (model,) = models_in(page, RULES)
    assert model.capabilities == ("image_in", "image_out", "search")
    (model,) = models_in(page, ModelRules(anchor="initialModels", capabilities={"a": ("text",)}))
    assert model.capabilities == ("text",)


@pytest.mark.parametrize("escapes", [0, 1, 2])
def test_entries_without_a_key_are_found_where_they_stand(escapes: int) -> None:
    """As the site had them for a while; only where the profile says so."""
    text = _escaped(json.dumps({"x": [{"id": "u", "publicName": "a"}, {"id": "no"}]}), escapes)
    page = f"<script>push({text.replace(': ', ':')})</script>"
    assert models_in(page, ModelRules(anchor=("initialModels", "*"))) == (Model(id="a"),)
    with pytest.raises(ProfileOutdated):
        models_in(page, RULES)


def test_models_say_their_modes_and_a_battle_is_one_more() -> None:
    """As far as the profile has them; a real model of that name keeps it."""
    profile = profiles.load("demo")
    models = (Model(id="a"), Model(id="b", owner="x"))
    both = ("direct", "side_by_side")
    assert with_modes(models, profile) == (
        Model(id="a", modes=both),
        Model(id="b", owner="x", modes=both),
        Model(id="battle", modes=("battle",)),
    )
    assert with_modes((Model(id="battle"),), profile) == (Model(id="battle", modes=both),)
    assert with_modes(models, profiles.load("generic")) == models
    told = ModelRules(capabilities={"battle": ("text", "image_in")})
    assert with_modes((), replace(profile, models=told))[0].capabilities == ("text", "image_in")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["id", "publicName", "organization", "capabilities", "inputCapabilities"]
            )
            | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=9,
)
ANY_RULES = st.builds(
    ModelRules,
    anchor=st.sampled_from(["initialModels", "*", "", ("a", "*"), "(", "\\"]),
    id_field=st.sampled_from(["publicName", "id"]),
)
PIECES = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ['"initialModels":', '\\"initialModels\\":', "[", "{", '{"id":', '"', "\\", "&quot;"]
    ),
    VALUES.map(json.dumps),
    VALUES.map(json.dumps).map(json.dumps),
)


@given(st.lists(PIECES, max_size=8).map("".join), ANY_RULES)
@example('"initialModels": [' + "1" * 5000 + "]", RULES)
@example('{"id":' + "1" * 5000 + "}", ModelRules(anchor="*"))
@example('"initialModels":' + "[" * 100_000, RULES)
@example('"initialModels":' * 300 + "[" * 300, RULES)
@example(r'"initialModels": [{"publicName": "\ud83d", "organization": "\ude00"}]', RULES)
def test_no_page_raises_anything_else(page: str, rules: ModelRules) -> None:
    """A page has models with names, or is outdated, whatever stands in it."""
    with contextlib.suppress(ProfileOutdated):
        models = models_in(page, rules)
        assert all(model.id for model in models)
        assert msgspec.msgpack.encode(models)  # the worker has to tell them


@given(VALUES, ANY_RULES)
def test_no_list_raises_anything_else(value: object, rules: ModelRules) -> None:
    """The same for a list that a service gives."""
    with contextlib.suppress(ProfileOutdated):
        models = models_of(value, rules)
        assert all(model.id for model in models)
        assert msgspec.msgpack.encode(models)
