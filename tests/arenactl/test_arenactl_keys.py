"""`arenactl keys`: what the daemon is told, what a person is shown, and what nobody is."""

import json

import pytest
from msgspec.structs import replace
from stand_in import StandIn, Step, end

from arenactl.__main__ import main
from arenactl.text import COLUMNS, width
from arenad.schema import keys
from arenad.schema.chat import Failure
from arenad.schema.control import Done
from arenad.schema.frame import Body
from arenad.schema.keys import CreateKey, GetKeys, Key, KeysAre, KeyUse, Limits, RevokeKey

NOW_S = 1_800_000_000.0
ALICE = Key(
    name="alice",
    id="0" * 16,
    scopes=("chat", "models"),
    made_at_unix_s=NOW_S,
    expires_at_unix_s=NOW_S + 90 * 60,
    limits=Limits(requests_per_minute=5, tokens_per_day=10**6),
)
LONG = Key(
    name="b" * 40,
    id="1" * 16,
    scopes=keys.SCOPES,
    expires_at_unix_s=1.0,
    limits=Limits(**dict.fromkeys(Limits.__struct_fields__, 2**31 - 1)),
)


def run(answer: Body, *words: str) -> tuple[int, list[Body]]:
    """The exit code, and what was asked."""
    steps: list[Step] = [end(answer)]
    script: dict[type[Body], list[Step]] = dict.fromkeys((CreateKey, RevokeKey, GetKeys), steps)
    with StandIn(script) as daemon:
        code = main(["keys", *words, "--runtime-dir", str(daemon.runtime_dir)])
    return code, daemon.heard


def test_a_key_is_shown_once_and_the_daemon_told_its_hash(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """On stdout the key alone, for a shell to take; what the daemon keeps fits it."""
    limits = ["--requests-per-minute", "5", "--tokens-per-day", "1000", "--concurrency", "2"]
    words = ["create", "alice", "--scopes", "models,chat", "--expires-in", "30d", *limits]
    code, [asked] = run(Done("made"), *words)
    said = capsys.readouterr()
    [text] = said.out.splitlines()
    assert code == 0
    assert "shown this once" in said.err
    assert isinstance(asked, CreateKey)
    key = asked.key
    assert (key.name, key.scopes, asked.lasts_s) == ("alice", ("chat", "models"), 30 * 24 * 3600.0)
    assert key.limits == Limits(requests_per_minute=5, tokens_per_day=1000, concurrency=2)
    assert keys.id_in(text) == key.id
    assert keys.digest_of(text, key.salt) == key.digest
    assert text[-20:] not in repr(asked)


def test_no_two_keys_are_alike(capsys: pytest.CaptureFixture[str]) -> None:
    """Each with an id, a secret and a salt of its own."""
    told = [run(Done("made"), "create", name, "--json")[1][0] for name in "ab"]
    first, second = (each.key for each in told if isinstance(each, CreateKey))
    shown = [json.loads(line)["key"] for line in capsys.readouterr().out.splitlines()]
    assert len(set(shown)) == len({first.id, second.id}) == len({first.salt, second.salt}) == 2
    assert first.scopes == ("chat", "models")


def test_a_refused_key_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """It would open nothing."""
    assert run(Failure("refused", "there is a key 'alice' already"), "create", "alice")[0] == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "already" in said.err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["create", "a b"], 1, "NAME: is 'a b'; must be 1 to 40 letters"),
        (["create", "a", "--scopes", "chat,all"], 2, "there is no scope 'all'"),
        (["create", "a", "--concurrency", "-1"], 2, "--concurrency"),
        (["create", "a", "--expires-in", "soon"], 2, "--expires-in"),
        (["create"], 2, "NAME"),
        ([], 2, "ACTION"),
        (["make", "a"], 2, "there is no 'make'"),
    ],
)
def test_a_wrong_line_asks_nothing(
    words: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is told what is wrong with it."""
    got, heard = run(Done("made"), *words)
    assert (got, heard) == (code, [])
    assert said in capsys.readouterr().err


def test_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    """A line each, that fits; and what is wrong with the store beside it."""
    answer = KeysAre((ALICE, LONG), NOW_S, "keys.json is read-only")
    assert run(answer, "list")[0] == 0
    said = capsys.readouterr()
    head, alice, long = said.out.splitlines()
    assert head.startswith("NAME             FOR")
    assert alice.split() == [
        *("alice", "chat,models", "1", "h", "30", "min"),
        *("5/min,", "1.0M", "tok/day"),
    ]
    assert "has expired" in long
    assert max(map(width, (head, alice, long))) <= COLUMNS
    assert "read-only" in said.err
    assert run(KeysAre((), NOW_S), "list")[0] == 0
    assert "There is no key" in capsys.readouterr().out


def test_one_key(capsys: pytest.CaptureFixture[str]) -> None:
    """Closer, by its name."""
    assert run(KeysAre((ALICE, LONG), NOW_S), "show", "alice")[0] == 0
    said = capsys.readouterr().out
    assert "begins with  sk-arenad-0000000000000000-" in said
    assert "at most      5 requests a minute" in said
    assert "(1 h 30 min)" in said
    assert run(KeysAre((ALICE,), NOW_S), "show", "eve")[0] == 1
    assert "there is no key eve; there are: alice" in capsys.readouterr().err


def test_what_a_key_has_used(capsys: pytest.CaptureFixture[str]) -> None:
    """In the minute, in the day and just now; of one without limits, or without a file, that."""
    use = KeyUse(3, 1200, 1, 1, running=2)
    code, heard = run(KeysAre((ALICE,), NOW_S, use=use), "show", "alice")
    assert (code, heard) == (0, [GetKeys("alice")])
    said = capsys.readouterr().out
    assert "has used     3 requests, 1200 tokens in the last minute" in said
    assert "has used     1 request, 1 token today (UTC)" in said
    assert "has used     2 running now" in said
    run(KeysAre((ALICE,), NOW_S, use=use), "show", "alice", "--json")
    assert json.loads(capsys.readouterr().out)["use"] == {
        "minute_requests": 3,
        "minute_tokens": 1200,
        "day_requests": 1,
        "day_tokens": 1,
        "running": 2,
    }
    run(KeysAre((ALICE,), NOW_S), "show", "alice")
    assert "has used     cannot be told" in capsys.readouterr().out
    free = replace(ALICE, limits=Limits())
    run(KeysAre((free,), NOW_S), "show", "alice")
    assert "has used     not counted, as it has no limits" in capsys.readouterr().out
    run(KeysAre((free,), NOW_S), "show", "alice", "--json")
    assert json.loads(capsys.readouterr().out)["use"] is None


def test_programs_are_told_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    """Without what is the daemon's alone."""
    assert run(KeysAre((ALICE,), NOW_S), "list", "--json")[0] == 0
    [key] = json.loads(capsys.readouterr().out)["keys"]
    assert key["limits"]["requests_per_minute"] == 5
    assert {"salt", "digest", "row"}.isdisjoint(key)


def test_a_revocation(capsys: pytest.CaptureFixture[str]) -> None:
    """In the daemon's words."""
    code, heard = run(Done("the key alice is refused from now on"), "revoke", "alice")
    assert (code, heard) == (0, [RevokeKey("alice")])
    assert "refused from now on" in capsys.readouterr().out
