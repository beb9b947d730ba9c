"""Site profiles: what is taken, what stands on top of what, and what is said of a faulty one."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from arenad import profiles
from arenad.errors import ConfigError
from arenad.schema.config import SiteConfig
from arenad.schema.profile import AnswerRules, Landmarks, Profile, Sign, Step


def made(folder: Path, **files: str) -> Path:
    """A folder with these profiles in it."""
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder


def faults_of(name: str, folder: Path) -> list[str]:
    """All that is said of a profile that must not be taken, without the folder."""
    with pytest.raises(ConfigError) as raised:
        profiles.load(name, folder)
    return [fault.removeprefix(f"{folder}/") for fault in raised.value.faults]


# -- finding ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", profiles.known())
def test_every_shipped_profile_loads_by_its_name(name: str) -> None:
    """File name and the name inside are one, and each says what it is for."""
    profile = profiles.load(name)
    assert profile.name == name
    assert profile.about


@pytest.mark.parametrize("name", ["", "nobody", "../config", "/etc/passwd", "x\0y", "d" * 5000])
def test_an_unknown_profile_is_a_fault_that_lists_the_known(name: str, tmp_path: Path) -> None:
    """Names are looked up, never joined to a path."""
    with pytest.raises(ConfigError, match=r"site\.profile: is .*; must be one of .*demo"):
        profiles.load(name, tmp_path)


def test_own_profiles_stand_before_shipped_ones(tmp_path: Path) -> None:
    """A profile in the folder may change a shipped one of its name, and leave the rest as it is."""
    folder = made(tmp_path, demo="extends: demo\nversion: 7\nlandmarks: {send: '#go'}")
    profile, shipped = profiles.load("demo", folder), profiles.load("demo")
    assert (profile.version, profile.landmarks.send) == (7, "#go")
    assert profile.landmarks.prompt == shipped.landmarks.prompt
    assert profiles.known(folder)["demo"] == folder / "demo.yaml"
    assert profiles.load("demo").landmarks.send != "#go"


def test_a_profile_is_read_anew_each_time(tmp_path: Path) -> None:
    """A reload finds what is written by then."""
    folder = made(tmp_path, mine="extends: demo\nlimits: {prompt_chars: 10}")
    assert profiles.load("mine", folder).limits.prompt_chars == 10
    made(tmp_path, mine="extends: demo\nlimits: {prompt_chars: 20}")
    assert profiles.load("mine", folder).limits.prompt_chars == 20


# -- inheritance ------------------------------------------------------------------------------------


def test_sections_are_merged_and_lists_replaced(tmp_path: Path) -> None:
    """Over three floors; the name and the version are the profile's own."""
    folder = made(
        tmp_path,
        base="""
version: 5
landmarks: {prompt: textarea, send: [a, b]}
stream: {url_pattern: /x}
dismiss: [one, two]
signs: {wall: {means: needs_login, selector: '#login'}}
""",
        middle="""
extends: base
dismiss: [three]
signs: {check: {means: needs_human, url: /challenge}}
""",
        top="extends: middle\nlandmarks: {send: [c]}\nopening: [{press: send}, {key: Enter}]",
    )
    profile = profiles.load("top", folder)
    assert (profile.name, profile.version) == ("top", 1)
    assert profile.landmarks == Landmarks(prompt="textarea", send=("c",))
    assert profile.dismiss == ("three",)
    assert profile.signs == {
        "wall": Sign(means="needs_login", selector="#login"),
        "check": Sign(means="needs_human", url="/challenge"),
    }
    assert profile.opening == (Step(press="send"), Step(key="Enter"))


def test_rings_and_unknown_parents_are_faults(tmp_path: Path) -> None:
    """Each is said with the file that names the other."""
    folder = made(
        tmp_path, a="extends: b", b="extends: a", lost="extends: nobody", self="extends: self"
    )
    assert faults_of("a", folder) == ["b.yaml: extends: a extends this one again; break the ring"]
    (fault,) = faults_of("lost", folder)
    assert fault.startswith("lost.yaml: extends: is 'nobody'; known: a, b, ")
    assert faults_of("self", folder)[0].startswith("self.yaml: extends: is 'self'; known: ")


# -- faults -----------------------------------------------------------------------------------------

FAULTY = """
version: one
landmarks: {prompt: 3, snd: button}
opening: [{press: a, prss: b}, 7]
signs: {wall: {means: trouble, text: x}}
models: {names: none}
extra: true
"""


def test_all_faults_of_the_types_are_said_at_once(tmp_path: Path) -> None:
    """Field, value and remedy, also inside of lists and of sections with names."""
    place = "a selector, or a list of selectors of which the first that is there counts"
    text = "a list of texts; put numbers and words like yes and no in quotes"
    means = "chat_full, content_rejected, expired, needs_human, needs_login, resting"
    assert set(faults_of("faulty", made(tmp_path, faulty=FAULTY))) >= {
        "faulty.yaml: version: is 'one'; must be a whole number of at least 1 and at most 1000000",
        f"faulty.yaml: landmarks.prompt: is 3; must be {place}",
        "faulty.yaml: landmarks.snd: no such field; did you mean send?",
        "faulty.yaml: opening[0].prss: no such field; did you mean press?",
        "faulty.yaml: opening[1]: is 7; must be a section, with lines of `name: value`",
        f"faulty.yaml: signs.wall.means: is 'trouble'; must be one of {means}",
        f"faulty.yaml: models.names: is 'none'; must be {text}",
        "faulty.yaml: stream: is missing; must be a section",
    }


CONTRADICTORY = """
name: other
extends: demo
landmarks: {prompt: 'role=textbox[name=oops]', model_option: li, ready_to_send: []}
dismiss: ['xpath=//a']
opening: [{press: a, wait: b}, {press: ready_to_send}, {key: F5}]
send: [{}]
stop: [{key: Enter, into: 'xpath=//a', when: model_option}]
signs: {both: {means: resting, text: a, url: '('}, none: {means: resting}}
models: {names: [a, b], json_path: models}
"""


def test_fields_are_held_against_each_other(tmp_path: Path) -> None:
    """What the types allow and no page could ever carry out, each with its remedy."""
    said = faults_of("odd", made(tmp_path, odd=CONTRADICTORY.replace("{key: F5}", "{key: Enter}")))
    actions = "press, press_if, wait, gone, key, write, open, choose, paste, drop"
    shows = "selector, text, url"
    assert said == [
        (
            "odd.yaml: landmarks.prompt: is 'role=textbox[name=oops]'; must be like"
            ' role=button[name="Send"]'
        ),
        "odd.yaml: dismiss: is 'xpath=//a'; must begin with css=, role= or text=, or be plain CSS",
        f"odd.yaml: opening[0]: does press and wait; must do exactly one of {actions}",
        (
            "odd.yaml: opening[1].press: is the landmark ready_to_send, which is empty;"
            " give landmarks.ready_to_send"
        ),
        f"odd.yaml: send[0]: does nothing; must do exactly one of {actions}",
        "odd.yaml: stop[0].into: belongs to write, and there is none",
        "odd.yaml: stop[0].into: is 'xpath=//a'; must begin with css=, role= or text=, or be plain CSS",
        (
            "odd.yaml: models: has anchor and json_path and names; keep one of them, and set inherited"
            " ones to ''"
        ),
        "odd.yaml: models.json_path: is 'models'; must be a path of the site, such as /models",
        "odd.yaml: landmarks.model_option: does not say which model; must contain {model}",
        f"odd.yaml: signs.both: has text and url; must have exactly one of {shows}",
        (
            "odd.yaml: signs.both.url: is '(', no regular expression"
            " (missing ), unterminated subpattern at position 0)"
        ),
        f"odd.yaml: signs.none: has nothing; must have exactly one of {shows}",
        "odd.yaml: name: is 'other'; must be 'odd', as the file is called",
    ]
    key = "a key such as Enter, Escape, Tab, ArrowDown or Control+Enter"
    assert f"odd.yaml: opening[2].key: is 'F5'; must be {key}" in faults_of(
        "odd", made(tmp_path, odd=CONTRADICTORY)
    )
    listed = "extends: demo\nmodels: {anchor: '', json_path: /m, json_list: a..b}"
    (fault,) = faults_of("no", made(tmp_path, no=listed))
    assert fault.startswith("no.yaml: models.json_list: 'a..b' is no path; write keys")


def test_a_fault_is_said_of_the_file_it_stands_in(tmp_path: Path) -> None:
    """A field that is inherited is faulty where it is written."""
    folder = made(
        tmp_path,
        base="landmarks: {prompt: p, send: 7}\nstream: {url_pattern: /x}",
        top="extends: base\nlandmarks: {stop: 8}",
    )
    assert [fault.partition(": is")[0] for fault in faults_of("top", folder)] == [
        "base.yaml: landmarks.send",
        "top.yaml: landmarks.stop",
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("- a", "is a list; must be lines"),
        ("a: [", "line 1: "),
        ("a: 1\na: 2", "line 2: a is given twice"),
    ],
)
def test_a_file_that_is_no_profile(tmp_path: Path, text: str, fault: str) -> None:
    """What is no map of names to values is said as such."""
    (said,) = faults_of("x", made(tmp_path, x=text))
    assert said.startswith("x.yaml: ")
    assert fault in said


@pytest.mark.parametrize(
    "selector",
    [
        "textarea",
        "css=#a",
        'role=button[name="Send \\"it\\""]',
        "role=textbox",
        "role=button[name=/send|go/i]",
        'role=dialog >> role=button[name*="agree"]',
        'text="Send"',
        "text=Send",
    ],
)
def test_selectors_that_are_taken(tmp_path: Path, selector: str) -> None:
    """CSS, roles with names, texts, and chains of them."""
    shown = selector.replace("'", "''")
    folder = made(tmp_path, x=f"extends: demo\nlandmarks: {{prompt: '{shown}'}}")
    assert profiles.load("x", folder).landmarks.prompt == selector


# -- modes ------------------------------------------------------------------------------------------


def test_a_mode_says_only_what_is_different(tmp_path: Path) -> None:
    """Its stream stands on the profile's own; a mode that is inherited can be changed, or left out."""
    folder = made(
        tmp_path,
        base="""
landmarks: {prompt: p}
stream: {url_pattern: /x, grammar: json-lines, answer: {text: a, finish: end}}
modes:
  battle: {stream: {answer_b: {text: b}}}
  side_by_side: {landmarks: {model_picker_b: '#b'}, stream: {answer_b: {text: b}}}
""",
        top="extends: base\nmodes: {side_by_side: null, battle: {start_path: /fight}}",
    )
    profile = profiles.load("base", folder)
    battle = profile.in_mode("battle").stream
    assert (battle.url_pattern, battle.grammar) == ("/x", "json-lines")
    assert battle.answer == AnswerRules(text="a", finish="end")
    assert battle.answer_b == AnswerRules(text="b")
    assert profile.stream.answer_b is None
    top = profiles.load("top", folder)
    assert list(top.modes_offered()) == ["direct", "battle"]
    assert top.in_mode("battle").start_path == "/fight"
    assert top.in_mode("battle").stream == battle


def test_faults_of_modes(tmp_path: Path) -> None:
    """What a mode lacks for two answers, and what no page could carry out, by its path."""
    text = """
landmarks: {prompt: p}
stream: {url_pattern: /x, grammar: json-lines, answer: {text: a}}
modes:
  battle: {landmarks: {model_option: li, send: 'text='}, opening: [{press: stop}]}
  side_by_side: {stream: {grammar: arena-lines}}
"""
    assert faults_of("odd", made(tmp_path, odd=text)) == [
        (
            "odd.yaml: modes.side_by_side: nothing chooses the second model; give choose_model_b,"
            " or landmarks.model_picker_b"
        ),
        "odd.yaml: modes.battle.landmarks.send: is 'text='; must be like text=Send",
        (
            "odd.yaml: modes.battle.landmarks.model_option: does not say which model;"
            " must contain {model}"
        ),
        (
            "odd.yaml: modes.battle.opening[0].press: is the landmark stop, which is empty;"
            " give landmarks.stop"
        ),
        "odd.yaml: modes.battle.stream.answer_b: is missing; it says where the second answer stands",
    ]
    dom = "extends: demo\nstream: {transport: dom, dom: {element: p}}\nmodes: {fight: {}}"
    faults = faults_of("x", made(tmp_path, x=dom))
    assert "x.yaml: modes.fight: no such field; known here: side_by_side, battle" in faults
    dom = "extends: demo\nstream: {transport: dom, dom: {element: p}}\nmodes: {side_by_side: null}"
    (fault,) = faults_of("x", made(tmp_path, x=dom))
    assert "modes.battle: is read in the page (transport dom)" in fault


# -- whose site -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "site",
    [
        SiteConfig(),
        SiteConfig(url="http://127.0.0.1:8/"),
        SiteConfig(profile="generic", url="http://chat.localhost/"),
        SiteConfig(profile="lmarena", url="https://[::1]:1/"),
        SiteConfig(profile="lmarena", terms_accepted=True),
        SiteConfig(url="https://chat.example/", terms_accepted=True),
    ],
)
def test_sites_that_may_be_opened(site: SiteConfig) -> None:
    """The demo and loopback need nothing; others the operator's word."""
    assert profiles.for_site(site).name == site.profile


@pytest.mark.parametrize(
    ("site", "fault"),
    [
        (
            SiteConfig(profile="generic"),
            "site.url: is empty, and the profile generic has no address",
        ),
        (SiteConfig(profile="lmarena"), "site.terms_accepted: is false, but https://arena.ai/"),
        (
            SiteConfig(url="https://chat.example/"),
            "site.terms_accepted: is false, but https://chat.",
        ),
        (SiteConfig(url="http://127.0.0.1.example/"), "site.terms_accepted: is false"),
    ],
)
def test_sites_that_may_not_be_opened(site: SiteConfig, fault: str) -> None:
    """The message names the field, the address and what to do first."""
    with pytest.raises(ConfigError) as raised:
        profiles.for_site(site)
    assert raised.value.faults[0].startswith(fault)


# -- upstreams without a page -----------------------------------------------------------------------


def test_an_upstream_needs_no_landmarks(tmp_path: Path) -> None:
    """A kind, and what may be said of its models; on top of the shipped one or not."""
    text = "models: {names: [a], aliases: {b: a}, capabilities: {a: [text]}}\nlimits: {prompt_chars: 9}"
    folder = made(tmp_path, own=f"kind: openai-http\n{text}", above=f"extends: openai-http\n{text}")
    for name in ("own", "above"):
        profile = profiles.load(name, folder)
        assert (profile.kind, profile.models.names) == ("openai-http", ("a",))
        assert profile.limits.prompt_chars == 9


def test_what_only_a_page_has_is_refused(tmp_path: Path) -> None:
    """Every such field by its name; others are unknown as ever."""
    page = "landmarks: {prompt: '#p'}\nstart_path: /x\nmodels: {anchor: x}\nkeys: 1"
    faults = faults_of("own", made(tmp_path, own=f"kind: openai-http\n{page}"))
    why = "is given, but a site of the kind openai-http has no page; leave it out"
    told = [fault.partition(": ")[2] for fault in faults]
    assert told[:3] == [f"{name}: {why}" for name in ("landmarks", "start_path", "models.anchor")]
    assert told[3].startswith("keys: ")
    assert len(told) == 4


def test_a_kind_is_one_of_a_few(tmp_path: Path) -> None:
    """A page's profile is as it was, and an unknown kind is a fault."""
    assert profiles.load("demo").kind == "page"
    faults = faults_of("own", made(tmp_path, own="extends: demo\nkind: ftp"))
    assert faults == ["own.yaml: kind: is 'ftp'; must be one of echo, openai-http, page"]


def test_an_upstream_of_others_needs_the_operators_word() -> None:
    """Loopback needs none."""
    site = SiteConfig(profile="openai-http", url="https://api.example/v1")
    with pytest.raises(ConfigError, match=r"site.terms_accepted"):
        profiles.for_site(site)
    local = SiteConfig(profile="openai-http", url="http://127.0.0.1:9/v1")
    assert profiles.for_site(local).kind == "openai-http"
    with pytest.raises(ConfigError, match=r"site.url: is empty"):
        profiles.for_site(SiteConfig(profile="openai-http"))
    assert profiles.for_site(SiteConfig(profile="echo")).kind == "echo", "it has no address"


# -- anything -----------------------------------------------------------------------------------------

SHIPPED = {
    path.stem: yaml.safe_load(path.read_text()) for path in sorted(profiles.SHIPPED.glob("*.yaml"))
}
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 2**70)
    | st.floats()
    | st.text(max_size=9)
    | st.sampled_from(["(", "$.", "[", "demo", "x", "{model}", "http://[", "sse", "dom", "a: b"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)
in_a_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def loaded(folder: Path, text: bytes) -> Profile | list[str]:
    """The profile, or its faults, each with the file that it stands in; nothing else is raised."""
    path = folder / "mine.yaml"
    path.write_bytes(text)
    try:
        return profiles.load("mine", folder)
    except ConfigError as error:
        faults = error.faults
    assert faults
    assert all(fault.startswith(str(folder)) or ".yaml: " in fault for fault in faults)
    return faults


def _places(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else []
    inner = enumerate(value) if isinstance(value, list) else inner
    return [here, *(place for step, each in inner for place in _places(each, (*here, step)))]


@in_a_folder
@given(text=st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_no_text_makes_it_raise_anything_else(text: bytes, tmp_path: Path) -> None:
    """A profile or its faults, whatever the file holds."""
    loaded(tmp_path, text)


@in_a_folder
@given(name=st.sampled_from(sorted(SHIPPED)), value=VALUES, drawn=st.data())
def test_a_shipped_profile_with_something_wrong(
    name: str, value: object, drawn: st.DataObject, tmp_path: Path
) -> None:
    """Any value in any place of it: what is still taken can be sent to a worker as it is."""
    tree: Any = json.loads(json.dumps({**SHIPPED[name], "name": "mine"}))
    *steps, last = drawn.draw(st.sampled_from(_places(tree)[1:]))
    place = tree
    for step in steps:
        place = place[step]
    place[last] = value
    taken = loaded(tmp_path, yaml.safe_dump(tree, allow_unicode=True).encode())
    if isinstance(taken, Profile):
        packed = msgspec.msgpack.encode(taken)
        assert msgspec.msgpack.decode(packed, type=Profile) == taken
