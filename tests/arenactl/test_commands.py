"""Every command as an operator runs it: words in, lines and an exit code out, over a real socket."""

import json
import re
import time

import msgspec
import pytest
from stand_in import ACCEPTED, StandIn, end, hang_up, item, state, states, worker

from arenactl import client, commands, progress
from arenactl.__main__ import main
from arenactl.output import Output
from arenad.schema.chat import Failure
from arenad.schema.control import (
    Change,
    ChildState,
    Done,
    DrainOne,
    GetState,
    GetStory,
    Happening,
    Logs,
    Reload,
    Reloaded,
    RenewOne,
    Reset,
    Restart,
    Scale,
    Shutdown,
    State,
    StateNow,
    StoryOf,
    Upgrade,
    Watch,
)
from arenad.schema.process import LogLine

ONE = state(worker("w1"))
STARTING = worker("w2", phase="starting", condition=None)
NOON_S = time.mktime((2026, 6, 1, 12, 0, 0, 0, 0, -1))
LINES = [
    LogLine(NOON_S + 0.5, "info", "master", "scale 1 -> 2"),
    LogLine(NOON_S + 1.0, "debug", "w1", "page opened"),
    LogLine(NOON_S + 2.0, "error", "w1", "broke"),
    LogLine(NOON_S + 3.0, "warning", "w2", "slow"),
]
LOGGED = [*map(item, LINES), end(Done(""))]


def told(now):
    return [end(StateNow(now))]


def run(script, *words):
    """The exit code of a command against a daemon with this script, and what the daemon heard."""
    with StandIn(script) as daemon:
        code = main([*words, "--runtime-dir", str(daemon.runtime_dir)])
    return code, daemon.heard


def test_status_is_well(capsys):
    """A daemon that is well is a page and exit code 0."""
    assert run({GetState: told(ONE)}, "status") == (0, [GetState()])
    out, err = capsys.readouterr()
    assert out.startswith("well: all instances ready\n\n  site ")
    assert "\x1b" not in out
    assert not err


@pytest.mark.parametrize("word", ["starting", "degraded", "down", "stopping"])
def test_status_is_not_well(word, capsys):
    """Any other word is exit code 4, starting too, so that a script can wait for well."""
    assert run({GetState: told(state(word=word, verdict=word))}, "status")[0] == 4
    assert capsys.readouterr().out.startswith(word)


def test_status_as_json_is_the_state(capsys):
    """A program reads exactly what the daemon said."""
    assert run({GetState: told(ONE)}, "--json", "status")[0] == 0
    assert msgspec.json.decode(capsys.readouterr().out, type=State) == ONE


def test_instances_are_the_workers(capsys):
    """The table, and its JSON, hold the workers and nobody else."""
    both = state(worker("w1"), msgspec.structs.replace(worker("demo"), role="demo"))
    assert run({GetState: told(both)}, "instances")[0] == 0
    assert [line[:4] for line in capsys.readouterr().out.splitlines()] == ["NAME", "w1  "]
    assert run({GetState: told(both)}, "instances", "--json")[0] == 0
    shown = msgspec.json.decode(capsys.readouterr().out, type=list[ChildState])
    assert shown == [worker("w1")]


@pytest.mark.parametrize(
    ("words", "order"),
    [
        (("scale", "3"), Scale(3)),
        (("restart", "w1"), Restart("w1")),
        (("drain", "w1"), DrainOne("w1")),
        (("renew", "w1"), RenewOne("w1")),
        (("stop", "--no-wait"), Shutdown()),
    ],
)
def test_an_order_is_given_and_its_answer_told(words, order, capsys):
    """Without --wait a command ends with the daemon's word, in both forms."""
    assert run({type(order): ACCEPTED}, *words) == (0, [order])
    assert capsys.readouterr().out == "as you say\n"
    assert run({type(order): ACCEPTED}, *words, "--json") == (0, [order])
    assert json.loads(capsys.readouterr().out) == {"ok": True, "text": "as you say"}


def test_a_refusal_is_exit_code_1(capsys):
    """The daemon's reason reaches the operator on stderr, a program on stdout."""
    script = {Scale: [end(Failure("refused", "99 is over the limit of 32"))]}
    assert run(script, "scale", "99")[0] == 1
    assert capsys.readouterr() == ("", "arenactl: 99 is over the limit of 32\n")
    assert run(script, "scale", "99", "--json")[0] == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["error"] == {"kind": "refused", "message": "99 is over the limit of 32"}
    assert not err


GROWING = {
    GetState: told(ONE),
    Scale: ACCEPTED,
    Watch: states(
        ONE,
        state(worker("w1"), STARTING),
        state(worker("w1"), STARTING),
        state(worker("w1"), worker("w2")),
    ),
}


def test_scale_waits_until_ready(capsys):
    """--wait tells each change once, and ends with the last."""
    assert run(GROWING, "scale", "2", "--wait") == (0, [GetState(), Scale(2), Watch()])
    assert capsys.readouterr().out.splitlines() == [
        "as you say",
        "1 of 2 ready, but the daemon now wants 1",
        "1 of 2 ready, 1 starting",
        "2 of 2 ready",
    ]


def test_scale_waits_in_json_lines(capsys):
    """Each line is a document; only the last one has `ok`."""
    assert run(GROWING, "scale", "2", "--wait", "--json")[0] == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line.get("progress") for line in lines[:-1]][-1] == "1 of 2 ready, 1 starting"
    assert lines[-1] == {"ok": True, "text": "2 of 2 ready"}


def test_scale_says_which_worker_failed(capsys):
    """A worker that goes to failed ends the wait with exit code 1."""
    failed = worker("w2", phase="failed", last_death="no browser at /x")
    script = {**GROWING, Watch: states(state(worker("w1"), failed))}
    assert run(script, "scale", "2", "--wait")[0] == 1
    assert capsys.readouterr().err == "arenactl: w2 is failed (no browser at /x)\n"


def test_scale_says_what_was_missing_at_the_deadline():
    """What is told then is the count, and each instance that is not ready."""

    def late():
        yield state(worker("w1"), STARTING)
        raise client.DeadlinePassed

    wish, output = progress.scaled(2, ONE), Output({}, as_json=False)
    missing = re.escape("not done after 5 s: 1 of 2 ready, 1 starting (w2 is starting)")
    with pytest.raises(client.DeadlinePassed, match=missing):
        commands._follow(late(), wish, 5.0, output)


def test_a_silent_watch_is_a_timeout_too(capsys):
    """A daemon that accepts and then says nothing is told as that."""
    script = {**GROWING, Watch: []}
    assert run(script, "scale", "2", "--wait", "--timeout", "0.05", "--json")[0] == 1
    error = json.loads(capsys.readouterr().out.splitlines()[-1])["error"]
    assert error["kind"] == "timeout"
    assert "the daemon has not said how it is" in error["message"]


@pytest.mark.parametrize("last", [end(Done("")), hang_up])
def test_a_watch_that_ends_is_not_success(last, capsys):
    """A daemon that leaves in the middle of a wait is exit code 3."""
    script = {**GROWING, Watch: [*states(ONE), last]}
    assert run(script, "scale", "2", "--wait")[0] == 3
    assert capsys.readouterr().err.startswith("arenactl: the daemon")


def test_restart_waits_for_the_next_life(capsys):
    """The generation before the order is what the new one is held against."""
    script = {
        GetState: told(ONE),
        Restart: ACCEPTED,
        Watch: states(ONE, state(worker("w1", generation=2))),
    }
    assert run(script, "restart", "w1", "--wait") == (0, [GetState(), Restart("w1"), Watch()])
    assert capsys.readouterr().out.splitlines()[-1] == "w1 is ready, generation 2"


def test_drain_waits_until_stopped(capsys):
    """The end is the stopped instance."""
    script = {
        GetState: told(ONE),
        DrainOne: ACCEPTED,
        Watch: states(state(worker("w1", phase="stopped"))),
    }
    assert run(script, "drain", "w1", "--wait")[0] == 0
    assert capsys.readouterr().out.splitlines() == ["as you say", "w1 is stopped"]


def test_stop_waits_until_the_daemon_is_gone(capsys):
    """The end of the connection is the end of the daemon."""
    assert run({Shutdown: [*ACCEPTED, hang_up]}, "stop") == (0, [Shutdown()])
    assert capsys.readouterr().out.splitlines() == ["as you say", "the daemon has stopped"]


def test_stop_tells_when_the_daemon_stays(capsys):
    """A daemon that accepts and stays is a timeout."""
    assert run({Shutdown: ACCEPTED}, "stop", "--timeout", "0.05")[0] == 1
    assert capsys.readouterr().err == "arenactl: after 0.05 s the daemon still runs\n"


def test_logs_are_lines(capsys):
    """Time to the millisecond, level, source, text."""
    assert run({Logs: LOGGED}, "logs", "-n", "4") == (0, [Logs(4, follow=False)])
    assert capsys.readouterr().out.splitlines() == [
        "12:00:00.500 info    master scale 1 -> 2",
        "12:00:01.000 debug   w1 page opened",
        "12:00:02.000 error   w1 broke",
        "12:00:03.000 warning w2 slow",
    ]


def test_logs_as_json_lines(capsys):
    """One object to the line, with named fields."""
    assert run({Logs: LOGGED}, "logs", "--json")[0] == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines == [msgspec.structs.asdict(line) for line in LINES]


@pytest.mark.parametrize(
    ("words", "texts"),
    [
        (("--source", "w1"), ["page opened", "broke"]),
        (("--level", "warning"), ["broke", "slow"]),
        (("--level", "info", "-n", "1"), ["slow"]),
        (("--source", "w1", "--level", "error"), ["broke"]),
        (("--source", "w9"), []),
    ],
)
def test_logs_are_filtered_from_further_back(words, texts, capsys):
    """The last lines of one source or level are found even if others came after them."""
    code, heard = run({Logs: LOGGED}, "logs", "--json", *words)
    lines = capsys.readouterr().out.splitlines()
    assert (code, [json.loads(line)["text"] for line in lines]) == (0, texts)
    assert heard == [Logs(10_000, follow=False)]


def test_logs_of_nobody_are_told(capsys):
    """A name that was mistyped is no quiet process."""
    assert run({Logs: LOGGED}, "logs", "--source", "w9")[0] == 0
    told = "arenactl: no such line of w9; `arenactl status` names the processes\n"
    assert capsys.readouterr() == ("", told)
    assert run({Logs: LOGGED}, "logs", "--source", "w1")[0] == 0
    assert capsys.readouterr().err == ""


def test_following_logs_ends_with_the_daemon(capsys):
    """-f until the daemon leaves is a success with a remark."""
    script = {Logs: [item(LINES[0]), item(LINES[1]), hang_up]}
    assert run(script, "logs", "-f", "--source", "w1") == (0, [Logs(50, follow=True)])
    out, err = capsys.readouterr()
    assert [line[13:] for line in out.splitlines()] == ["debug   w1 page opened"]
    assert "closed the connection" in err


def test_logs_cut_off_are_not_whole(capsys):
    """Without -f the daemon's end in the middle is told as such."""
    assert run({Logs: [item(LINES[0]), hang_up]}, "logs")[0] == 3
    assert "closed the connection" in capsys.readouterr().err


@pytest.mark.parametrize(("words", "name"), [(("w1",), "w1"), ((), "")])
def test_reset(words, name, capsys):
    """One child, or all of them."""
    assert run({Reset: ACCEPTED}, "reset", *words) == (0, [Reset(name)])
    assert capsys.readouterr().out == "as you say\n"


TOLD = StoryOf("w1", (Happening(NOON_S, "w1", "died: killed by SIGKILL"),), worker("w1"))


def test_a_story(capsys):
    """How it is, then what happened."""
    assert run({GetStory: [end(TOLD)]}, "story", "w1") == (0, [GetStory("w1")])
    head, line = capsys.readouterr().out.splitlines()
    assert head.startswith("w1 is ready for 14")
    assert line == "  12:00:00  died: killed by SIGKILL"


def test_a_story_as_json(capsys):
    """With named fields."""
    assert run({GetStory: [end(TOLD)]}, "story", "w1", "--json")[0] == 0
    told = json.loads(capsys.readouterr().out)
    assert told["story"] == [
        {"at_unix_s": NOON_S, "about": "w1", "text": "died: killed by SIGKILL"}
    ]
    assert told["now"]["phase"] == "ready"


# -- reload and upgrade -----------------------------------------------------------------------------

CHANGED = Reloaded(
    (
        Change(field="queue.limit", before="256", after="7", effect="at once"),
        Change(
            field="browser.args",
            before="[]",
            after=json.dumps([f"--switch-{n}" for n in range(9)])[:60] + "…",
            effect="new instances",
        ),
        Change(field="daemon.user", before='""', after='"me"', effect="restart"),
    )
)
UP_TO_DATE = state(worker("w1", generation=2))
OUTDATED = state(worker("w1", outdated=True))


def test_a_rehearsed_reload_tells_each_change(capsys):
    """Field, values, what it takes; no line is wider than a terminal."""
    script = {GetState: told(ONE), Reload: [end(CHANGED)]}
    assert run(script, "reload", "--dry-run", "--wait") == (0, [GetState(), Reload(dry_run=True)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["3 fields would change:", "  queue.limit: 256 -> 7 (at once)"]
    assert "needs a restart" in " ".join(lines)
    assert max(map(len, lines)) <= 80


def test_an_unchanged_file_is_said(capsys):
    """Not an empty list."""
    script = {GetState: told(ONE), Reload: [end(Reloaded(()))]}
    assert run(script, "reload")[0] == 0
    assert capsys.readouterr().out == "nothing has changed\n"


def test_reload_as_json_is_what_was_told(capsys):
    """A program reads the changes as the daemon said them."""
    script = {GetState: told(ONE), Reload: [end(CHANGED)]}
    assert run(script, "reload", "--json")[0] == 0
    assert msgspec.json.decode(capsys.readouterr().out, type=Reloaded) == CHANGED


def test_a_faulty_file_is_a_failure(capsys):
    """Exit code 1, with the daemon's words."""
    refused = Failure("refused", "nothing was changed: 2 faults\n  queue.limit: is 0\n  a: \x1b[1m")
    assert run({GetState: told(ONE), Reload: [end(refused)]}, "reload")[0] == 1
    first, *faults = capsys.readouterr().err.splitlines()
    assert first == "arenactl: nothing was changed: 2 faults"
    assert faults == ["  queue.limit: is 0", "  a: \N{REPLACEMENT CHARACTER}[1m"]


def test_reload_waits_for_the_last_replacement(capsys):
    """Until nobody is outdated, nor on the way in or out."""
    moving = state(worker("w1", phase="draining", outdated=True), worker("w2"))
    script = {
        GetState: told(OUTDATED),
        Reload: [end(CHANGED)],
        Watch: states(OUTDATED, moving, UP_TO_DATE),
    }
    assert run(script, "reload", "--wait")[0] == 0
    out = capsys.readouterr().out
    assert "1 to be replaced, 0 starting or leaving" in out
    assert "1 to be replaced, 1 starting or leaving" in out
    assert out.endswith("every process is up to date\n")


def test_reload_says_who_does_not_come_up(capsys):
    """A replacement that failed ends the wait with its reason."""
    failed = state(worker("w1", generation=2, phase="failed", last_death="exit code 75"))
    script = {GetState: told(OUTDATED), Reload: [end(CHANGED)], Watch: states(OUTDATED, failed)}
    assert run(script, "reload", "--wait")[0] == 1
    assert "w1" in capsys.readouterr().err


def test_upgrade_follows_the_new_program(capsys):
    """The connection ends with the old one; the command comes again and waits there."""
    script = {
        GetState: told(OUTDATED),
        Upgrade: [end(Done("the new program takes over")), hang_up],
        Watch: states(OUTDATED, UP_TO_DATE),
    }
    assert run(script, "upgrade", "--wait") == (0, [GetState(), Upgrade(), Watch()])
    out = capsys.readouterr().out
    assert out.startswith("the new program takes over\n")
    assert out.endswith("every process is up to date\n")


def test_an_upgrade_that_is_refused(capsys):
    """A broken installation is told, with exit code 1."""
    refused = Failure("refused", "nothing was changed: SyntaxError")
    assert run({GetState: told(ONE), Upgrade: [end(refused)]}, "upgrade", "--wait")[0] == 1
    assert "SyntaxError" in capsys.readouterr().err


GUI = "http://127.0.0.1:5104/gui/dashboard"


def test_view_tells_the_address_alone(capsys):
    """So that a shell can hand it to a browser; as JSON also whether a person is needed."""
    now = state(worker("w1"), worker("w2", condition="needs_login"), gui_url=GUI)
    assert run({GetState: told(now)}, "view", "w1")[0] == 0
    assert capsys.readouterr().out == "http://127.0.0.1:5104/gui/view/w1\n"
    assert run({GetState: told(now)}, "--json", "view", "w2")[0] == 0
    assert json.loads(capsys.readouterr().out) == {
        "name": "w2",
        "url": "http://127.0.0.1:5104/gui/view/w2",
        "needs_person": True,
    }


def test_view_of_nobody_is_refused(capsys):
    """With the names that there are."""
    assert run({GetState: told(ONE)}, "view", "w9")[0] == 1
    assert "there is no instance w9; there are: w1" in capsys.readouterr().err
