"""What a new configuration changes, and what each change asks for."""

from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arenad.master import change
from arenad.schema.config import (
    BrowserConfig,
    Config,
    DaemonConfig,
    DemoConfig,
    EgressConfig,
    FleetConfig,
    HistoryConfig,
    LimitsConfig,
    ProxyConfig,
    QueueConfig,
    SiteConfig,
    TemplateConfig,
)
from arenad.schema.control import Effect

FIELDS = [
    f"{section.name}.{field.name}"
    for section in msgspec.structs.fields(Config)
    if isinstance(section.type, type)
    for field in msgspec.structs.fields(section.type)
]


def test_nothing_changes_nothing():
    """Two readings of one file differ in no field."""
    assert change.between(Config(), Config()) == ()


def test_every_difference_is_told_in_the_order_of_the_file():
    """Field, both values as they would stand in the file, and the effect."""
    after = Config(
        demo=DemoConfig(listen="127.0.0.1:1"),
        fleet=FleetConfig(instances=3),
        daemon=DaemonConfig(user="somebody"),
    )
    told = [
        (each.field, each.before, each.after, each.effect)
        for each in change.between(Config(), after)
    ]
    assert told == [
        ("daemon.user", '""', '"somebody"', "restart"),
        ("fleet.instances", "2", "3", "at once"),
        ("demo.listen", '"127.0.0.1:5105"', '"127.0.0.1:1"', "new arena and instances"),
    ]


@pytest.mark.parametrize("name", change.EFFECTS)
def test_the_table_names_what_there_is(name: str):
    """Each row is a section or a field of the configuration, and each effect is one of them."""
    fields = (*FIELDS, "instance_templates")
    assert any(field == name or field.startswith(f"{name}.") for field in fields)
    assert change.EFFECTS[name] in get_args(Effect)


def test_the_longest_name_counts():
    """A field's own row comes before its section's; a field without any is taken at once."""
    assert change.effect_of("demo.chunks_per_s") == "new arena"
    assert change.effect_of("demo.listen") == "new arena and instances"
    assert change.effect_of("site.url") == "new instances"
    assert change.effect_of("site.battle_target") == "at once"
    assert change.effect_of("instance_templates.up.site.battle_target") == "at once"
    assert change.effect_of("queue.limit") == "at once"
    assert change.effect_of("apiary.limit") == "at once"


@given(st.text(max_size=400))
def test_values_are_shown_short(text: str):
    """However long a value is."""
    assert len(change.shown(text)) <= change.MAX_SHOWN_CHARS + 1


def test_what_needs_a_restart_is_not_taken():
    """The folder and the user stay, the rest is new; so the next reload says it again."""
    after = Config(
        daemon=DaemonConfig(user="somebody", log_level="debug"), queue=QueueConfig(limit=7)
    )
    taken = change.applicable(Config(), after)
    assert taken.daemon == DaemonConfig(log_level="debug")
    assert taken.queue.limit == 7
    assert [each.field for each in change.between(taken, after)] == ["daemon.user"]
    after = Config(limits=LimitsConfig(tasks=9, required=True))
    assert change.applicable(Config(), after).limits == LimitsConfig(tasks=9)


def test_where_the_history_is_changes_only_at_a_restart():
    """How much of it is kept is told to the recorder while it runs."""
    history = HistoryConfig(enabled=False, keep_days=3)
    after = Config(daemon=DaemonConfig(state_dir="/srv/state"), history=history)
    taken = change.applicable(Config(), after)
    assert taken == Config(history=HistoryConfig(keep_days=3))
    effects = {each.field: each.effect for each in change.between(Config(), after)}
    assert effects == {
        "daemon.state_dir": "restart",
        "history.enabled": "restart",
        "history.keep_days": "at once",
    }


def _egress(**proxies: ProxyConfig) -> Config:
    return Config(egress=EgressConfig(proxies=proxies, instances=dict.fromkeys(proxies, "w1")))


def test_what_is_named_is_told_field_by_field():
    """Each that comes, goes or changes; who somebody is to a proxy is told only as another."""
    near = ProxyConfig(url="http://10.0.0.1:3128", user="someone", password_from="env:NEAR")
    moved = msgspec.structs.replace(near, url="http://10.0.0.2:3128", user="else")
    far = ProxyConfig(url="socks5://10.0.0.3:1080")
    told = [
        (each.field, each.before, each.after, each.effect)
        for each in change.between(_egress(near=near), _egress(near=moved, far=far))
    ]
    proxies = "egress.proxies"
    assert told == [
        (f"{proxies}.near.url", '"http://10.0.0.1:3128"', '"http://10.0.0.2:3128"', NEW),
        (f"{proxies}.near.user", "…", "another", NEW),
        (f"{proxies}.far.url", "null", '"socks5://10.0.0.3:1080"', NEW),
        ("egress.instances.far", "null", '"w1"', NEW),
    ]
    gone = {
        each.field: (each.before, each.after)
        for each in change.between(_egress(near=near), Config())
    }
    assert gone[f"{proxies}.near.user"] == ("…", "null")
    come = {
        each.field: (each.before, each.after)
        for each in change.between(Config(), _egress(near=near))
    }
    assert come[f"{proxies}.near.user"] == ("null", "…")


def test_what_opens_an_address_is_not_shown():
    """Whoever has written a name and a password into one is not told them again."""
    after = Config(site=SiteConfig(url="https://me:S3CRET@site/"))
    ((field, shown),) = [(each.field, each.after) for each in change.between(Config(), after)]
    assert (field, shown) == ("site.url", '"https://…@site/"')


def test_a_browser_of_a_templates_own_is_told_field_by_field():
    """Also where the template had none of its own before."""
    one = TemplateConfig(name="one", site=SiteConfig())
    own = msgspec.structs.replace(one, browser=BrowserConfig(headless=False))
    told = {each.field: each.after for each in change.between(_with(one), _with(own))}
    assert told["instance_templates.one.browser.headless"] == "false"
    assert told["instance_templates.one.browser.engine"] == '"chromium"'
    assert "instance_templates.one.browser.args" not in told, "there are none"


NEW = "new instances"


def _with(*templates: TemplateConfig) -> Config:
    return Config(instance_templates=templates)


def test_templates_are_compared_by_name():
    """Wherever they stand; a number is taken at once, another site by new instances."""
    one, two = (TemplateConfig(name=name, site=SiteConfig()) for name in ("one", "two"))
    assert change.between(_with(one, two), _with(two, one)) == ()
    more = msgspec.structs.replace(one, instances=3)
    other = msgspec.structs.replace(two, site=SiteConfig(url="http://127.0.0.1:9/"))
    told = [
        (each.field, each.before, each.after, each.effect)
        for each in change.between(_with(one, two), _with(more, other))
    ]
    assert told == [
        ("instance_templates.one.instances", "1", "3", "at once"),
        ("instance_templates.two.site.url", '""', '"http://127.0.0.1:9/"', "new instances"),
    ]


def test_a_template_comes_and_goes_by_its_number():
    """Nobody else is concerned."""
    one, two = (TemplateConfig(name=name, site=SiteConfig()) for name in ("one", "two"))
    told = [(each.field, each.after) for each in change.between(_with(one), _with(two))]
    assert told == [
        ("instance_templates.one.instances", "0"),
        ("instance_templates.two.instances", "1"),
    ]


@pytest.mark.parametrize(
    ("field", "whose"),
    [
        ("site.url", {"w1"}),
        ("the profile demo", {"w1"}),
        ("the key in env:KEY", {"w1"}),
        ("browser.args", {"w1", "one-1", "two-1"}),
        ("limits.tasks", {"w1", "one-1", "two-1"}),
        ("instance_templates.one.site.url", {"one-1"}),
        ("instance_templates.two.site: the profile x, or its key", {"two-1"}),
    ],
)
def test_a_change_concerns_those_on_its_site(field: str, whose: set[str]):
    """Others go on as they are."""
    assert {name for name in ("w1", "one-1", "two-1") if change.concerns(field, name)} == whose
