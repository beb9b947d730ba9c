"""The configuration file: what is taken, and what an operator is told of what is not."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from arenad import config, document
from arenad.errors import ConfigError
from arenad.schema.config import Config, FleetConfig


def faults_of(text: str | bytes) -> list[str]:
    """All that is said of a text that must not be taken."""
    with pytest.raises(ConfigError) as raised:
        config.parse(text.encode() if isinstance(text, str) else text)
    return raised.value.faults


def outcome(text: bytes) -> Config | list[str]:
    """The configuration, or its faults."""
    try:
        return config.parse(text)
    except ConfigError as error:
        return error.faults


# -- what is taken ----------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "# nothing\n", "{}", "daemon:\nfleet: {}\n", "---\n"])
def test_nothing_means_the_defaults(text: str) -> None:
    """An empty file, an empty section: what is not said is as it is."""
    assert config.parse(text.encode()) == Config()


def test_a_field_is_taken_and_the_rest_stays() -> None:
    """One line changes one thing."""
    expected = msgspec.structs.replace(Config(), fleet=FleetConfig(instances=5))
    assert config.parse(b"fleet: {instances: 5}") == expected


def test_the_whole_configuration_makes_a_round_trip() -> None:
    """What is written as YAML is read as the same values."""
    assert config.parse(msgspec.yaml.encode(Config())) == Config()


@pytest.mark.parametrize(
    "address", ["127.0.0.9:1", "localhost:65535", "[::1]:5102", "0.0.0.0:80", "arena.example:80"]
)
def test_any_address_can_be_listened_at(address: str) -> None:
    """By number in both families, and by name; whom to answer there is decided by keys."""
    assert config.parse(f'api: {{listen: "{address}"}}'.encode()).api.listen == address


# -- what is said of one fault ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            "api: {listen: 5102}",
            "api.listen: is 5102; must be host:port such as 127.0.0.1:5102",
        ),
        (
            'api: {listen: "127.0.0.1:5102\\n"}',
            "api.listen: is '127.0.0.1:5102\\n'; must be host:port such as 127.0.0.1:5102",
        ),
        (
            'gui: {listen: "127.0.0.1:0"}',
            "gui.listen: is 127.0.0.1:0; a port must be from 1 to 65535",
        ),
        (
            "demo: {listen: 0.0.0.0:5105}",
            (
                "demo.listen: is 0.0.0.0:5105; must be a loopback address such as 127.0.0.1:5105: "
                "it is there for trying out"
            ),
        ),
        (
            "gui: {listen: 127.0.0.1:5102}",
            "gui.listen: is 127.0.0.1:5102, as api.listen is; each needs its own",
        ),
        (
            "chat: {attempts: 0}",
            "chat.attempts: is 0; must be a whole number of at least 1 and at most 64",
        ),
        (
            "fleet: {instances: two}",
            "fleet.instances: is 'two'; must be a whole number of at least 0 and at most 1000000",
        ),
        (
            "fleet: {instances: true}",
            "fleet.instances: is true; must be a whole number of at least 0 and at most 1000000",
        ),
        (
            "queue: {wait_s: .inf}",
            "queue.wait_s: is inf; must be a number above 0 and at most 604800",
        ),
        (
            "queue: {wait_s: .nan}",
            "queue.wait_s: is nan; must be a number above 0 and at most 604800",
        ),
        (
            "queue: {wait_s:}",
            "queue.wait_s: is empty; must be a number above 0 and at most 604800",
        ),
        (
            "daemon: {log_level: off}",
            "daemon.log_level: is false; must be one of debug, error, info, warning",
        ),
        (
            "daemon: {user: 1000}",
            "daemon.user: is 1000; must be text; put numbers and words like yes and no in quotes",
        ),
        (
            "browser: {allow_no_sandbox: 2026-01-01}",
            "browser.allow_no_sandbox: is 2026-01-01; must be true or false",
        ),
        (
            "browser: {args: [--lang=de, 5]}",
            (
                "browser.args: is a list; must be a list of texts; "
                "put numbers and words like yes and no in quotes"
            ),
        ),
        (
            "browser: {path: {}}",
            (
                "browser.path: is a section; must be text; "
                "put numbers and words like yes and no in quotes"
            ),
        ),
        (
            "site: {url: ftp://x}",
            (
                "site.url: is 'ftp://x'; must be an address that begins with http:// or https://, "
                "or empty"
            ),
        ),
        ("fleet: 5", "fleet: is 5; must be a section, with lines of `name: value`"),
        ("fleet: [a]", "fleet: is a list; must be a section, with lines of `name: value`"),
        ("hello", "the file: is 'hello'; must be a section, with lines of `name: value`"),
        ("fleet: {instance: 3}", "fleet.instance: no such field; did you mean instances?"),
        ("gui: {port: 3}", "gui.port: no such field; known here: listen"),
        ("gui: {5: 3}", "gui.5: no such field; known here: listen"),
        (
            "fleet: {instances: 40}",
            (
                "fleet.instances: is 40, over fleet.max_instances (32); "
                "lower the one or raise the other"
            ),
        ),
        (
            "autoscale: {max: 40}",
            (
                "autoscale.max: is 40, over fleet.max_instances (32); "
                "lower the one or raise the other"
            ),
        ),
        (
            "autoscale: {min: 5, max: 4}",
            "autoscale.min: is 5, over autoscale.max (4); lower the one or raise the other",
        ),
        (
            "autoscale: {min: 33}",
            "autoscale.min: is 33, over fleet.max_instances (32); lower the one or raise the other",
        ),
        (
            "autoscale: {hysteresis_percent: 70}",
            (
                "autoscale.hysteresis_percent: is 70, not below autoscale.utilisation_percent (70); "
                "lower the one or raise the other"
            ),
        ),
        (
            "life: {backoff_first_s: 31}",
            (
                "life.backoff_first_s: is 31, over life.backoff_limit_s (30); "
                "lower the one or raise the other"
            ),
        ),
        (
            "health: {silent_s: 5}",
            "health.silent_s: is 5, over health.hung_s (4); lower the one or raise the other",
        ),
        (
            "files: {keep_bytes: 1048576}",
            (
                "files.keep_bytes: is 1048576, below files.max_bytes (10485760); "
                "raise the one or lower the other"
            ),
        ),
    ],
)
def test_a_fault_names_field_value_and_remedy(text: str, fault: str) -> None:
    """Each message can be read aloud to somebody who has the file open."""
    assert faults_of(text) == [fault]


def test_a_long_value_is_not_shown_in_full() -> None:
    """Enough to find it."""
    (fault,) = faults_of(f"api: {{listen: {'x' * 500}}}")
    assert "x" * 50 in fault
    assert len(fault) < 150


# -- what is said of many ---------------------------------------------------------------------------


def test_all_faults_are_said_at_once() -> None:
    """One of each sort; none hides the next, and none is said that follows from another."""
    text = """
        daemon: 5
        fleet: {instance: 3, instances: 50, max_instances: none}
        queue: {limit: 0, wait_s: -1}
        demo: {listen: 10.0.0.1:80}
        gui: {listen: 127.0.0.1}
        demon: {}
    """
    assert [fault.partition(":")[0] for fault in faults_of(text)] == [
        "demon",
        "daemon",
        "fleet.instance",
        "fleet.max_instances",
        "gui.listen",
        "queue.limit",
        "queue.wait_s",
        "demo.listen",
    ]


# -- what is no YAML for us -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("fleet:\n  instances: 1\n  instances: 2", "line 3: instances is given twice; keep one"),
        ("fleet: {}\nfleet: {}", "line 2: fleet is given twice; keep one"),
        ("fleet: {'a': 1, a: 2}", "line 1: a is given twice; keep one"),
        ("a: &x 1\nb: *x", "line 1: & * and ! have no meaning here"),
        ("a: 1\nb: *x", "line 2: & * and ! have no meaning here"),
        ("a: !!bool x", "line 1: & * and ! have no meaning here"),
        ("a: !!python/object:os.system x", "line 1: & * and ! have no meaning here"),
        ("a: 2026-13-45", "line 1: '2026-13-45' is no value (month must be in 1..12)"),
        ("a: 0x_", "line 1: '0x_' is no value"),
        ("a: [1", "line 1: "),
        ("a: 1\n\tb: 2", "line 2: "),
        ("a: 1\n---\nb: 2", "line 2: but found another document"),
        ("? [1]\n: 2", "line 1: found unhashable key"),
        ("[" * 50_000, "is nested far too deeply"),
        (b"\xff\x00", "is not YAML: "),
        (b"a: \x00", "is not YAML: "),
    ],
)
def test_what_yaml_cannot_be_here_is_said_with_its_line(text: str | bytes, fault: str) -> None:
    """Not YAML, or more of YAML than a configuration needs: one line says where and what."""
    (said,) = faults_of(text)
    assert said.startswith(fault)
    assert "\n" not in said


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_no_text_makes_it_raise_anything_else(text: bytes) -> None:
    """A configuration or its faults, whatever the file holds."""
    assert outcome(text)


_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc"), inner, max_size=3),
    max_leaves=4,
)
_fields = [
    (section.name, field.name)
    for section in msgspec.structs.fields(Config)
    if isinstance(section.type, type)
    for field in msgspec.structs.fields(section.type)
]


@given(st.dictionaries(st.sampled_from(_fields), _values, max_size=6))
@example({("life", "backoff_limit_s"): 0.0625})
@example({("autoscale", "utilisation_percent"): 5})
@example({("api", "listen"): "127.0.0.1:5104"})
def test_any_value_in_any_field_is_taken_or_named(given_: dict[tuple[str, str], object]) -> None:
    """Each fault begins with the name of a field that the file gave; what is taken fits its type."""
    tree: dict[str, dict[str, object]] = {}
    for (section, name), value in given_.items():
        tree.setdefault(section, {})[name] = value
    taken = outcome(msgspec.json.encode(tree))
    if isinstance(taken, Config):
        assert msgspec.convert(msgspec.to_builtins(taken), Config) == taken
    else:
        names = {f"{section}.{name}" for section, name in given_}
        told = {".".join(fault.partition(":")[0].split(".")[:2]) for fault in taken}
        assert told <= names  # what a map holds is named below its field


# -- files ------------------------------------------------------------------------------------------


def test_faults_of_a_file_name_the_file(tmp_path: Path) -> None:
    """Each line can stand alone in a journal."""
    path = tmp_path / "arenad.yaml"
    path.write_text("queue: {limit: 0}\ngui: 5\n")
    with pytest.raises(ConfigError) as raised:
        config.load(path)
    assert [fault.startswith(f"{path}: ") for fault in raised.value.faults] == [True, True]


def test_a_file_is_loaded(tmp_path: Path) -> None:
    """From disk to values."""
    path = tmp_path / "arenad.yaml"
    path.write_text("queue: {limit: 7}\n")
    assert config.load(path).queue.limit == 7


@pytest.mark.parametrize(
    ("name", "fault"),
    [("missing", "cannot be read: No such file"), (".", "cannot be read: Is a directory")],
)
def test_a_file_that_cannot_be_read_is_a_fault(tmp_path: Path, name: str, fault: str) -> None:
    """Said with the system's own reason."""
    with pytest.raises(ConfigError, match=fault):
        config.load(tmp_path / name)


def test_a_huge_file_is_no_configuration(tmp_path: Path) -> None:
    """It is not even parsed."""
    path = tmp_path / "core"
    path.write_bytes(b"#" * (document.MAX_FILE_BYTES + 1))
    with pytest.raises(ConfigError, match="that is no configuration"):
        config.load(path)


# -- the folder of own profiles ---------------------------------------------------------------------


def test_own_profiles_stand_beside_the_file(tmp_path: Path) -> None:
    """In the folder `profiles` if there is one; else where the file says, seen from its folder."""
    path = tmp_path / "arenad.yaml"
    path.write_text("site: {profile: demo}")
    assert config.load(path).site.profiles_dir == ""
    (tmp_path / "profiles").mkdir()
    assert config.load(path).site.profiles_dir == str(tmp_path / "profiles")
    path.write_text("site: {profiles_dir: own}")
    assert config.load(path).site.profiles_dir == str(tmp_path / "own")
    path.write_text("site: {profiles_dir: /srv/own}")
    assert config.load(path).site.profiles_dir == "/srv/own"


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("browser: {engine: webkit}", "browser.engine"),
        (
            "instance_templates: [{name: a, site: {}, browser: {engine: webkit}}]",
            "instance_templates[0].browser.engine",
        ),
    ],
)
def test_an_engine_without_a_driver_is_refused(text: str, field: str) -> None:
    """By the check already, with those that have one."""
    (fault,) = faults_of(text)
    assert fault.startswith(f"{field}: is webkit")
    assert "a driver for chromium and firefox alone" in fault


def test_an_engine_without_proxies_is_refused_beside_some() -> None:
    """Also one of a template, and not where there are none."""
    assert config.parse(b"browser: {engine: firefox}").browser.engine == "firefox"
    proxies = "egress: {proxies: {a: {url: 'http://127.0.0.1:1'}}}"
    (fault,) = faults_of(f"browser: {{engine: firefox}}\n{proxies}")
    assert fault.startswith("browser.engine: is firefox, which has no proxies, but there are some")
    template = "instance_templates: [{name: a, site: {}, browser: {engine: firefox}}]"
    (fault,) = faults_of(f"{template}\n{proxies}")
    assert fault.startswith("instance_templates[0].browser.engine: is firefox")


# -- templates --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            "instance_templates: [{name: a, site: {}}, {name: a, site: {}}]",
            "instance_templates: a is there twice; each needs a name of its own",
        ),
        (
            "fleet: {max_instances: 3}\ninstance_templates: [{name: a, site: {}, instances: 2}]",
            "instance_templates: are 4 instances with fleet.instances, over fleet.max_instances (3); lower the one or raise the other",
        ),
        (
            "autoscale: {enabled: true}\ninstance_templates: [{name: a, site: {}}]",
            "autoscale.enabled: is true, but there are instance_templates, and requests that wait are counted for all instances together; use only one of them",
        ),
        (
            "instance_templates: [{name: w, site: {}}]",
            "instance_templates[0].name: is 'w'; must be up to 20 small letters and _, other than frontend and w",
        ),
    ],
)
def test_templates_that_cannot_be(text: str, fault: str) -> None:
    """Names, numbers, and what one load cannot drive."""
    assert faults_of(text) == [fault]


def test_own_profiles_of_a_template_stand_where_all_do(tmp_path: Path) -> None:
    """Or in a folder of its own, seen from the file."""
    (tmp_path / "profiles").mkdir()
    path = tmp_path / "arenad.yaml"
    sites = "[{name: a, site: {}}, {name: b, site: {profiles_dir: more}}]"
    path.write_text(f"instance_templates: {sites}")
    folders = [each.site.profiles_dir for each in config.load(path).instance_templates]
    assert folders == [str(tmp_path / "profiles"), str(tmp_path / "more")]
