"""A site's profile as data."""

import re
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from arenad import profiles
from arenad.schema import path
from arenad.schema.profile import (
    AnswerRules,
    DomRules,
    GrammarName,
    Landmarks,
    ModelRules,
    ModeRules,
    Modes,
    Profile,
    SignKind,
    StreamRules,
    Transport,
)

PATHS = st.sampled_from(["a", "a.0.b", "a.*[b=c].d", "a when $event=b"])
ANSWERS = st.builds(AnswerRules, text=PATHS | st.tuples(PATHS, PATHS), reasoning=PATHS)
STREAMS = st.builds(
    StreamRules,
    url_pattern=st.sampled_from(["/a", "/b/(c|d)$"]),
    grammar=st.sampled_from(["arena-lines", "sse", "json-lines", "socket-io"]),
    answer=ANSWERS,
    answer_b=st.none() | ANSWERS,
    error=PATHS,
    signs=st.dictionaries(
        st.text(min_size=1), st.sampled_from(["upstream", "resting"]), max_size=2
    ),
    dom=st.none() | st.builds(DomRules, element=st.just("p"), settle_s=st.floats(0.1, 9)),
)
PROFILES = st.builds(
    Profile,
    version=st.integers(1, 99),
    name=st.just("small"),
    landmarks=st.builds(Landmarks, prompt=st.just("p")),
    stream=STREAMS,
    models=st.builds(ModelRules),
)


@given(PROFILES)
def test_a_profile_makes_a_round_trip(profile: Profile) -> None:
    """By wire to the worker, by YAML from its file."""
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(profile), type=Profile) == profile
    assert msgspec.convert(msgspec.to_builtins(profile), Profile) == profile


@pytest.mark.parametrize(
    ("field", "value"),
    [("name", "../x"), ("name", "UPPER"), ("url", "ftp://x"), ("version", 0), ("landmarks", [])],
)
def test_what_no_site_has_is_refused(field: str, value: object) -> None:
    """Names are file names, addresses are of the web, versions begin at 1."""
    tree = msgspec.to_builtins(profiles.load("demo"))
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(tree | {field: value}, Profile)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "url_pattern: is missing; transport fetch needs it"),
        ({"url_pattern": "("}, r"url_pattern: is '\('; no regular expression"),
        ({"transport": "dom"}, "dom: is missing"),
        ({"transport": "dom", "dom": {"element": " "}}, "element: is empty"),
        ({"transport": "dom", "dom": {"element": "p", "settle_s": 0}}, "settle_s: is 0; must be"),
        ({"url_pattern": "/a", "grammar": "json-lines"}, "answer: is missing; grammar json-lines"),
        ({"url_pattern": "/a", "answer": {}}, "answer.text: is missing"),
        ({"url_pattern": "/a", "answer": {"text": "a..b"}}, "answer.text: 'a..b' is no path"),
        ({"url_pattern": "/a", "answer_b": {"text": ["a", ""]}}, "answer_b.text: '' is no path"),
        ({"url_pattern": "/a", "error": "a when b"}, "error: 'b' is no condition"),
        ({"url_pattern": "/a", "signs": {"": "upstream"}}, "signs: has an empty text"),
        ({"url_pattern": "/a", "signs": {"x": "bad"}}, "Invalid enum value 'bad'"),
        ({"url_pattern": "/a", "transport": "pigeon"}, "Invalid enum value 'pigeon'"),
    ],
)
def test_bad_rules_name_the_field(fields: dict[str, Any], said: str) -> None:
    """What cannot work is said when the profile is read, with the field and the remedy."""
    with pytest.raises(msgspec.ValidationError, match=said):
        msgspec.convert(fields, StreamRules)


DOCS = (Path(__file__).parents[2] / "docs" / "profiles.md").read_text()


def test_the_manual_shows_what_works() -> None:
    """Its whole sections are rules, its paths are paths, and it names every grammar and field."""
    blocks = re.findall(r"```yaml\n(.*?)```", DOCS, re.DOTALL)
    sections = [yaml.safe_load(block) for block in blocks if block.startswith("stream:")]
    assert len(sections) >= 2
    for section in sections:
        msgspec.convert(section["stream"], StreamRules)
    paths = [line for block in blocks for line in block.splitlines() if line.startswith("text: ")]
    assert len(paths) >= 6
    for line in paths:
        written = yaml.safe_load(line)["text"]
        assert path.parse_all(tuple(written) if isinstance(written, list) else written)
    names = {*get_args(GrammarName), *get_args(SignKind), *get_args(Transport)}
    fields = {each.name for each in msgspec.structs.fields(AnswerRules)}
    fields |= {each.name for each in msgspec.structs.fields(StreamRules)}
    fields |= {each.name for each in msgspec.structs.fields(DomRules)}
    assert [name for name in names | fields if not re.search(rf"\b{name}\b", DOCS)] == []


def test_a_mode_is_the_profile_with_what_is_different_in_it() -> None:
    """Landmark by landmark, steps and the stream as wholes; the rest stays as it is."""
    stream = StreamRules(url_pattern="/two")
    profile = Profile(
        version=1,
        name="small",
        landmarks=Landmarks(prompt="p", send="s"),
        stream=StreamRules(url_pattern="/one"),
        start_path="/",
        modes=Modes(
            battle=ModeRules(start_path="/battle", landmarks=Landmarks(send="t"), stream=stream)
        ),
    )
    assert list(profile.modes_offered()) == ["direct", "battle"]
    assert profile.in_mode("direct") == profile
    battle = profile.in_mode("battle")
    assert battle == msgspec.structs.replace(
        profile, start_path="/battle", landmarks=Landmarks(prompt="p", send="t"), stream=stream
    )
    with pytest.raises(KeyError):
        profile.in_mode("side_by_side")
