"""Which proxies an instance uses, and where their passwords come from."""

from pathlib import Path

import pytest

from arenad import config
from arenad.errors import ConfigError
from arenad.master import egress
from arenad.schema.config import EgressConfig, ProxyConfig
from arenad.schema.profile import Kind

PROXIES = {name: ProxyConfig(url=f"http://{name}:3128") for name in ("a", "b", "c")}


def _names(rules: EgressConfig, instance: str) -> list[str]:
    return [proxy.name for proxy in egress.proxies_of(rules, instance, {})]


def test_instances_are_dealt_out_by_their_numbers() -> None:
    """Always in the same way, each with all others behind its own."""
    rules = EgressConfig(proxies=PROXIES)
    assert _names(rules, "w1") == ["a", "b", "c"]
    assert _names(rules, "w5") == ["b", "c", "a"]
    assert _names(rules, "mine-3") == ["c", "a", "b"]
    assert _names(EgressConfig(), "w1") == []
    assert _names(EgressConfig(proxies=PROXIES, assign="per_request"), "w2") == ["b", "c", "a"]


def test_by_hand_who_is_not_named_has_none() -> None:
    """The named one comes first."""
    rules = EgressConfig(proxies=PROXIES, assign="manual", instances={"w1": "c"})
    assert _names(rules, "w1") == ["c", "a", "b"]
    assert _names(rules, "w2") == []


def test_a_password_is_read_and_never_shown(tmp_path: Path) -> None:
    """From a private file; one that others may read is refused."""
    path = tmp_path / "password"
    path.write_text("THE-SECRET\n")
    path.chmod(0o600)
    own = ProxyConfig(url="http://p:1", user="me", password_from=f"file:{path}")
    rules = EgressConfig(proxies={"own": own})
    known = egress.passwords(rules, ["page"], {})
    (proxy,) = egress.proxies_of(rules, "w1", known)
    assert proxy.password == "THE-SECRET"
    assert "THE-SECRET" not in f"{proxy!r} {proxy} {rules}"
    path.write_text("é" * 128)
    far = EgressConfig(proxies={"far": ProxyConfig("socks5://p:1", "me", f"file:{path}")})
    with pytest.raises(ConfigError, match=r"far.password_from: .* more than 255 bytes"):
        egress.passwords(far, ["page"], {})
    path.chmod(0o640)
    with pytest.raises(ConfigError, match=f"egress.proxies.own.password_from: others .*{path}"):
        egress.passwords(rules, ["page"], {})


def test_an_upstream_is_asked_through_http_proxies_only() -> None:
    """Rather than go past the others in silence."""
    kinds: list[Kind] = ["page", "openai-http"]
    assert egress.passwords(EgressConfig(proxies=PROXIES), kinds, {}) == dict.fromkeys(PROXIES, "")
    for scheme in ("https", "socks5"):
        rules = EgressConfig(proxies={**PROXIES, "odd": ProxyConfig(url=f"{scheme}://x:1")})
        assert "odd" in egress.passwords(rules, ["page"], {})
        with pytest.raises(
            ConfigError, match=r"^egress\.proxies\.odd\.url: .* http:// proxies only"
        ):
            egress.passwords(rules, kinds, {})


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("proxies: {a: {url: ftp://x:1}}", "egress.proxies.a.url: is 'ftp://x:1'; must be http://"),
        ("proxies: {a: {url: 'http://me:pw@x:1'}}", "without credentials"),
        ("proxies: {a: {url: 'http://x:1', user: me}}", "user and password_from go together"),
        (
            f"proxies: {{a: {{url: 'socks5://x:1', user: {'m' * 256}, password_from: env:P}}}}",
            "egress.proxies.a.user: takes more than 255 bytes, which SOCKS5 has no room for",
        ),
        ("instances: {w1: a}", "egress.instances.w1: is a, which is none of egress.proxies"),
        ("proxies: {'a b': {url: 'http://x:1'}}", "a proxy is named 'a b'; must be up to 40"),
        (
            "proxies: {a: {url: 'http://x:1'}}, rotation_interval_s: 60",
            "egress.rotation_interval_s: is set, but there are not two egress.proxies",
        ),
        (
            "proxies: {a: {url: 'http://x:1'}}, assign: per_request, rotation_interval_s: 60",
            "egress.assign is per_request; set it to per_instance, or leave it at 0",
        ),
        ("rotate: true", "egress.rotate: no such field"),
    ],
)
def test_faults_name_field_and_remedy(text: str, fault: str) -> None:
    """Also what Chromium cannot do."""
    with pytest.raises(ConfigError) as caught:
        config.parse(f"egress: {{{text}}}".encode())
    assert fault in str(caught.value)
    if "pw@" in text:
        assert "pw@" not in str(caught.value)
