"""The command line: words to `Options`.

`--json` and `--runtime-dir` may stand before or after the command.
"""

import argparse
import math
from collections.abc import Sequence
from typing import NoReturn, get_args

from arenactl.text import COLUMNS
from arenad.schema.config import LogLevel
from arenad.schema.history import HistoryKind
from arenad.schema.keys import SCOPES, Scope

LEVELS: tuple[LogLevel, ...] = get_args(LogLevel)
KINDS: tuple[HistoryKind, ...] = get_args(HistoryKind)
MOST = 2**31 - 1
"""What a count may be (`Limit` in `arenad.schema.keys`)."""

UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 24 * 3600}

EXIT_CODES = """\
exit codes:
  0  done; for status: the daemon is well
  1  refused, failed or timed out
  2  the command line is wrong
  3  the daemon is not running or not reachable
  4  status: the daemon runs but is not well
"""


class Usage(Exception):
    """The command line is wrong; `usage` is the short reminder of the right one."""

    def __init__(self, message: str, usage: str) -> None:
        super().__init__(message)
        self.message = message
        self.usage = usage


class Options(argparse.Namespace):
    """What was asked for. The values here are the defaults: each argument suppresses its own."""

    command: str = ""
    json: bool = False
    runtime_dir: str = ""
    instances: tuple[str, int] = ("", 0)
    name: str = ""
    wait: bool = False
    timeout_s: float = 120.0
    lines: int = 50
    follow: bool = False
    source: str = ""
    level: LogLevel = "debug"
    kind: HistoryKind = "requests"
    since_s: float = 0.0
    instance: str = ""
    prefix: str = ""
    dry_run: bool = False
    words: tuple[str, ...] = ()
    action: str = ""
    scopes: tuple[Scope, ...] = ("chat", "models")
    expires_in_s: float = 0.0
    requests_per_minute: int = 0
    tokens_per_minute: int = 0
    concurrency: int = 0
    requests_per_day: int = 0
    tokens_per_day: int = 0


class _Help(argparse.RawDescriptionHelpFormatter):
    """Help as wide as every page; argparse's own way to find a width imports archive formats."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=COLUMNS)


class _Parser(argparse.ArgumentParser):
    """A parser that reports instead of leaving, and takes long options only in full."""

    def __init__(self, prog: str, description: str) -> None:
        super().__init__(
            prog=prog,
            description=description,
            epilog=EXIT_CODES,
            formatter_class=_Help,
            argument_default=argparse.SUPPRESS,
            allow_abbrev=False,
        )

    def _check_value(self, action: argparse.Action, value: object) -> None:
        """One of the words that there are; argparse's own way says no word that was meant."""
        if action.choices is None or value in action.choices:
            return
        import difflib  # noqa: PLC0415 - only a wrong word pays for it

        known = [str(each) for each in action.choices]
        near = difflib.get_close_matches(str(value), known, n=1)
        told = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
        raise argparse.ArgumentError(action, f"there is no {value!r}; {told}")

    def error(self, message: str) -> NoReturn:
        raise Usage(message, self.format_usage())


def parse(words: Sequence[str]) -> Options:
    """Read the words; raises `Usage`, or `SystemExit` after --help and --version."""
    parser = _parser()
    options = parser.parse_args(words, namespace=Options())
    if not options.command:
        parser.error("a COMMAND is missing; `arenactl --help` lists them")
    return options


class _Version(argparse.Action):
    """Tell the installed version; its look-up is slow, so only this option pays for it."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from importlib import metadata  # noqa: PLC0415 - see above

        print(f"arenactl {metadata.version('arenad')}")
        parser.exit()


_OF_ONE = {
    "story": "What has happened to a process, why, and what comes next.",
    "view": "The address of an instance's live view, where a person may act on its page.",
}
"""Commands that look at one process."""


def _parser() -> _Parser:
    parser = _Parser(prog="arenactl", description="Ask and steer arenad.")
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and leave")
    _add_everywhere(parser)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    def add(name: str, text: str) -> _Parser:
        command = commands.add_parser(name, help=text, description=text)
        _add_everywhere(command)
        return command

    add("status", "Is it well? The daemon, its processes and its latest story.")
    add("instances", "The instances, closer.")
    scale = add("scale", "Have this many instances, on the site itself or of a template.")
    text = "how many; NAME=N of a template"
    scale.add_argument("instances", type=_wish, metavar="[NAME=]N", help=text)
    _add_wait(scale, "until they are ready")
    restart = add("restart", "Let a process finish what it does and start it anew.")
    restart.add_argument("name", metavar="ID", help="for example w1")
    _add_wait(restart, "until it is ready again")
    drain = add("drain", "Let an instance finish what it does and keep it stopped.")
    drain.add_argument("name", metavar="ID", help="for example w1")
    _add_wait(drain, "until it is stopped")
    _add_named(add("renew", "Have an instance begin a fresh session, in the same browser."))
    _add_named(add("forget-session", "Remove an instance's saved login; start it anew without."))
    reset = add("reset", "Forget a process's deaths, or those of all, and start what waits.")
    reset.add_argument("name", nargs="?", metavar="ID", help="for example w1; all without it")
    for name, text in _OF_ONE.items():
        add(name, text).add_argument("name", metavar="ID", help="for example w1")
    reload = add(
        "reload", "Read the configuration again and follow it; a faulty file changes nothing."
    )
    reload.add_argument("--dry-run", action="store_true", help="only say what would change")
    _add_wait(reload, "until every process that has to be replaced is")
    upgrade = add("upgrade", "Start the installed program anew in place; running chats go on.")
    _add_wait(upgrade, "until every process is of the new program")
    stop = add("stop", "Let everything finish and end the daemon.")
    _add_wait(stop, "until the daemon is gone (the default)")
    stop.set_defaults(wait=True)
    _add_logs(add("logs", "The daemon's log, with all of its processes."))
    _add_history(add("history", "What was recorded: requests, story, log, samples; newest last."))
    _add_keys(add("keys", "API keys: create, list, show and revoke them."))
    site = add("site", "Profiles of chat sites: list, show NAME, test NAME, learn URL.")
    site.add_argument(
        "words", nargs=argparse.REMAINDER, metavar="…", help="-h tells more: site … -h"
    )
    _add_placing(add("install", "Put arenad in place as a service of systemd."))
    _add_placing(add("uninstall", "Stop the service and remove what install wrote."))
    return parser


def _add_named(parser: _Parser) -> None:
    parser.add_argument("name", metavar="ID", help="for example w1")


def _add_everywhere(parser: _Parser) -> None:
    parser.add_argument("--json", action="store_true", help="answer in JSON on stdout")
    parser.add_argument("--runtime-dir", metavar="DIR", help="where the control socket is")


def _add_wait(parser: _Parser, until: str) -> None:
    parser.add_argument("--wait", action=argparse.BooleanOptionalAction, help=f"wait {until}")
    text = "give up waiting after this many seconds (120)"
    parser.add_argument("--timeout", dest="timeout_s", type=_seconds, metavar="S", help=text)


def _add_logs(parser: _Parser) -> None:
    text = "the last so many lines (50); with -f they are counted before --source and --level"
    parser.add_argument("-n", "--lines", type=_count, metavar="LINES", help=text)
    parser.add_argument("-f", "--follow", action="store_true", help="go on with each new line")
    parser.add_argument("--source", metavar="NAME", help="only of this process, for example w1")
    text = f"only this level and graver: {', '.join(LEVELS)}"
    parser.add_argument("--level", choices=LEVELS, metavar="LEVEL", help=text)


def _add_history(parser: _Parser) -> None:
    text = f"{', '.join(KINDS)}; requests without it"
    parser.add_argument("kind", nargs="?", type=_kind, metavar="KIND", help=text)
    text = "not older than this, for example 90s, 15m, 1h or 7d"
    parser.add_argument("--since", dest="since_s", type=_span, metavar="TIME", help=text)
    text = "only of this one, for example w1; samples without it are of the traffic"
    parser.add_argument("--instance", metavar="ID", help=text)
    text = "the newest so many (50)"
    parser.add_argument("-n", "--lines", type=_count, metavar="N", help=text)


LIMITS = {
    "requests_per_minute": "requests a minute",
    "tokens_per_minute": "tokens a minute, of prompts and answers, by estimate",
    "concurrency": "requests at the same time",
    "requests_per_day": "requests a day (UTC)",
    "tokens_per_day": "tokens a day (UTC)",
}
"""The fields of a key's limits, in words."""


def _add_keys(parser: _Parser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    def add(name: str, text: str) -> _Parser:
        action = actions.add_parser(name, help=text, description=text)
        _add_everywhere(action)
        return action

    create = add("create", "Make a key and show it, this once.")
    create.add_argument("name", metavar="NAME", help="whose it is; logs and history tell it")
    text = f"what it is for, of {', '.join(SCOPES)} (chat,models); admin is the dashboard"
    create.add_argument("--scopes", type=_scopes, metavar="SCOPES", help=text)
    for field, text in LIMITS.items():
        flag = f"--{field.replace('_', '-')}"
        create.add_argument(flag, type=_count, metavar="N", help=f"at most so many {text}")
    text = "how long it holds, for example 12h or 90d; without it, until it is revoked"
    create.add_argument("--expires-in", dest="expires_in_s", type=_span, metavar="TIME", help=text)
    add("list", "All keys, and what each may.")
    show = add("show", "One key, closer.")
    show.add_argument("name", metavar="NAME", help="its name")
    revoke = add("revoke", "Refuse a key from now on; what runs with it goes on.")
    revoke.add_argument("name", metavar="NAME", help="its name")


def _scopes(word: str) -> tuple[Scope, ...]:
    wanted = word.split(",")
    if strange := [each for each in wanted if each not in SCOPES]:
        told = f"there is no scope {strange[0]!r}; there are {', '.join(SCOPES)}"
        raise argparse.ArgumentTypeError(told)
    return tuple(scope for scope in SCOPES if scope in wanted)


def _add_placing(parser: _Parser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
    text = "below this folder instead of /, for packages; no command of systemd is run"
    parser.add_argument("--prefix", metavar="DIR", help=text)


def _count(word: str) -> int:
    if word.isascii() and word.isdigit() and len(word) <= len(str(MOST)) and int(word) <= MOST:
        return int(word)
    raise argparse.ArgumentTypeError(f"{word!r} is not a whole number from 0 to {MOST}")


def _wish(word: str) -> tuple[str, int]:
    template, _, number = word.rpartition("=")
    return template, _count(number)


def _kind(word: str) -> HistoryKind:
    for kind in KINDS:
        if word in (kind, argparse.SUPPRESS):  # argparse converts what stands for "nothing" too
            return kind
    raise argparse.ArgumentTypeError(f"{word!r} is none of {', '.join(KINDS)}")


def _span(word: str) -> float:
    """A length of time such as 1h; a bare number is seconds."""
    unit_s = UNITS_S.get(word[-1:], 0)
    try:
        return _seconds(word[:-1] if unit_s else word) * (unit_s or 1)
    except argparse.ArgumentTypeError:
        units = ", ".join(UNITS_S)
        must = f"{word!r} is not a number above 0 with a unit of {units}"
        raise argparse.ArgumentTypeError(must) from None


def _seconds(word: str) -> float:
    try:
        seconds = float(word)
    except ValueError:
        seconds = math.nan
    if 0 < seconds < math.inf:
        return seconds
    raise argparse.ArgumentTypeError(f"{word!r} is not a number of seconds above 0")
