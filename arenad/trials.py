"""`arenad site …`: look at the profiles, try one on its page, draft one for a page nobody has seen.

A process of its own, which needs no running daemon: whoever writes a profile has none yet, and the
master opens no page. As root it becomes the user that workers have before it starts a browser.
"""

import argparse
import asyncio
import importlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Coroutine, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

import msgspec
import uvloop
import yaml
from msgspec.structs import replace

from arenad import config, log, profiles
from arenad.errors import ArenadError, ConfigError
from arenad.master.settings import Settings
from arenad.master.zygote import LATE_IMPORTS
from arenad.schema.config import Config
from arenad.schema.profile import API_FIELDS, Profile
from arenad.schema.trial import Finding, Trial
from arenad.worker.api_trial import try_upstream
from arenad.worker.learn import learn
from arenad.worker.trial import Wish, try_profile

HOLDS, GONE, USAGE, FAULTY = 0, 1, 2, 78
WHOLE_S = 600.0
"""Nothing here takes longer, however a page behaves."""

COLUMNS = 100

Result = TypeVar("Result")


def main(words: Sequence[str], find_config: Callable[[Path | None], Path | None]) -> int:
    """Carry out `arenad site WORDS`; gives the exit code. `find_config` finds the default file."""
    options = _parser().parse_args(words)
    log.setup("site", "warning", lambda _: None)
    try:
        path = find_config(options.config)
        loaded = config.load(path) if path else config.parse(b"")
        return _COMMANDS[options.command](loaded, options)
    except ConfigError as error:
        for fault in error.faults:
            _complain(fault)
        return FAULTY
    except (ArenadError, OSError) as error:
        _complain(str(error))
        return GONE


def _complain(text: str) -> None:
    print(f"arenad site: {text}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="arenactl site",
        description="Profiles of chat sites: what there is, and whether it still fits its page.",
        epilog="Exit codes: 0 all holds, 1 something is gone or failed, 2 usage, 78 a faulty file.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--config", "-c", type=Path, help="the configuration file (YAML)")
        command.add_argument("--json", action="store_true", help="answer in JSON on stdout")
        return command

    add("list", "The profiles, shipped and own.")
    show = add("show", "A profile as it is used, with all that it extends.")
    test = add("test", "Open the page in a browser, and check everything that the profile names.")
    for command in (show, test):
        command.add_argument("name", metavar="NAME", help="for example demo")
    test.add_argument("--url", default="", help="the site's address, if not the profile's own")
    test.add_argument("--prompt", default="", metavar="TEXT", help="send this, and read the answer")
    test.add_argument("--screenshot", type=Path, metavar="FILE", help="write a picture (PNG)")
    learner = add("learn", "Try to work out a profile for a plain chat page; write a draft.")
    learner.add_argument("url", metavar="URL", help="the page's address")
    learner.add_argument("--prompt", default="", metavar="TEXT", help="what is sent")
    learner.add_argument("--out", type=Path, metavar="FILE", help="a new file; else to stdout")
    return parser


# -- looking at files -----------------------------------------------------------------------------


def _folder(loaded: Config) -> Path | None:
    return Path(loaded.site.profiles_dir) if loaded.site.profiles_dir else None


def _list(loaded: Config, options: argparse.Namespace) -> int:
    """One line each; a profile that cannot be used is listed with its first fault."""
    rows: list[dict[str, object]] = []
    for name, path in profiles.known(_folder(loaded)).items():
        row: dict[str, object] = {"name": name, "file": str(path)}
        try:
            profile = profiles.load(name, _folder(loaded))
            row |= {"version": profile.version, "url": profile.url, "about": profile.about}
        except ConfigError as error:
            row |= {"version": 0, "url": "", "about": f"cannot be used: {error.faults[0]}"}
        rows.append(row)
    if options.json:
        _print_json(rows)
        return HOLDS
    wide = max(len(str(row["name"])) for row in rows)
    for row in rows:
        own = "" if Path(str(row["file"])).is_relative_to(profiles.SHIPPED) else f" ({row['file']})"
        print(f"{row['name']:<{wide}}  {row['version']:>3}  {row['about']}{own}")
    return HOLDS


def _show(loaded: Config, options: argparse.Namespace) -> int:
    profile = profiles.load(options.name, _folder(loaded))
    if options.json:
        _print_json(profile)
    else:
        print(as_yaml(profile), end="")
    return HOLDS


def as_yaml(profile: Profile) -> str:
    """A profile as a file has it: without what is as it would be anyway."""
    tree = _told(profile)
    if profile.kind in profiles.PAGELESS:
        tree = {name: value for name, value in tree.items() if name in API_FIELDS}
    return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, width=COLUMNS)


def _told(value: object) -> Any:
    """The fields that differ from their defaults, as plain values."""
    if isinstance(value, msgspec.Struct):
        fields = msgspec.structs.fields(value)
        given = ((field, getattr(value, field.name)) for field in fields)
        return {field.name: _told(each) for field, each in given if each != _default(field)}
    if isinstance(value, tuple):
        return [_told(each) for each in cast("tuple[object, ...]", value)]
    if isinstance(value, dict):
        return {name: _told(each) for name, each in cast("dict[str, object]", value).items()}
    return value


def _default(field: msgspec.structs.FieldInfo) -> object:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return field.default


def _print_json(value: object) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(value) + b"\n")


# -- in a browser ---------------------------------------------------------------------------------


def _test(loaded: Config, options: argparse.Namespace) -> int:
    own_url = loaded.site.url if loaded.site.profile == options.name else ""
    settings = _settings(loaded, options.name, options.url or own_url)
    if settings.profile.kind == "echo":
        raise ArenadError(f"{options.name} is no site; there is nothing to try")
    if settings.profile.kind == "openai-http":
        return _test_upstream(settings, options)
    picture = options.screenshot.open("wb") if options.screenshot else None
    with _scratch(settings) as scratch:
        wish = Wish(options.prompt, picture=picture is not None)
        work = try_profile(loaded.browser, scratch, settings.profile, settings.site_url, wish)
        trial, png = _run(work)
    if picture is not None:
        _write(picture, png)
    return _tell(trial, options)


def _test_upstream(settings: Settings, options: argparse.Namespace) -> int:
    """No browser is started, so nothing has to be given up for it."""
    if options.screenshot:
        raise ArenadError(f"--screenshot: {options.name} has no page; leave it out")
    read, url = settings.read, settings.site_url
    work = try_upstream(read.profile, url, read.site_key, options.prompt)
    return _tell(_run(work), options)


def _tell(trial: Trial, options: argparse.Namespace) -> int:
    if options.json:
        _print_json(trial)
    else:
        _print_trial(trial)
    return GONE if trial.gone else HOLDS


def _learn(loaded: Config, options: argparse.Namespace) -> int:
    settings = _settings(loaded, "generic", options.url)
    out = options.out.open("xb") if options.out else None  # a profile that is there is kept
    name = options.out.stem if options.out else "draft"
    with _scratch(settings) as scratch, _kept_if_written(options.out):
        work = learn(loaded.browser, scratch, settings.profile, settings.site_url, options.prompt)
        lesson = _run(work)
    text = as_yaml(replace(lesson.profile, name=name))
    for note in lesson.notes:
        _complain(note)
    if out is not None:
        _write(out, text.encode())
        print(f"{options.out}: written; try it with `arenactl site test {name}`")
    else:
        print(text, end="")
    return HOLDS if lesson.is_whole else GONE


@contextmanager
def _kept_if_written(out: Path | None) -> Generator[None]:
    """Where nothing was learnt, the new file goes again: the next try finds its place free."""
    try:
        yield
    except BaseException:
        if out is not None:
            try:
                out.unlink()
            except OSError as error:  # we may be another user by now, who owns no folder there
                _complain(f"{out} is left empty; remove it ({error.strerror})")
        raise


def _settings(loaded: Config, name: str, url: str) -> Settings:
    """The configuration as if this were its site; the operator's word on its terms counts here.

    A key goes to the address for which it was given, and nowhere else.
    """
    if loaded.egress.proxies and not loaded.egress.fallback_to_direct:
        raise ArenadError("egress.proxies: this command goes the direct way; use a file without")
    own = loaded.site
    key_from = own.key_from if (own.profile, own.url) == (name, url) else ""
    site = replace(own, profile=name, url=url, key_from=key_from)
    return Settings(replace(loaded, site=site))


@contextmanager
def _scratch(settings: Settings) -> Generator[Path]:
    """A folder for the browser, made before this process becomes a user who cannot do harm."""
    uid, gid = settings.user
    folder = Path(tempfile.mkdtemp(prefix="arenad-site-"))
    try:
        if uid != os.getuid():
            for name in LATE_IMPORTS:
                importlib.import_module(name)
            os.chown(folder, uid, gid)
            os.setgroups([])
            os.setgid(gid)
            os.setuid(uid)
        yield folder / "browser"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run it in the worker's own kind of loop, with a deadline for the whole."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_within(work))


async def _within(work: Coroutine[Any, Any, Result]) -> Result:
    try:
        async with asyncio.timeout(WHOLE_S):
            return await work
    except TimeoutError as error:
        raise ArenadError(f"the page kept us for longer than {WHOLE_S:g} s") from error


def _write(file: BinaryIO, content: bytes) -> None:
    with file:
        file.write(content)


def _print_trial(trial: Trial) -> None:
    print(f"{trial.profile}, version {trial.version}, at {trial.url} ({trial.browser})")
    wide = max(len(each.name) for each in trial.findings)
    for each in trial.findings:
        print(_line(each, wide).rstrip())
    counts = f"{sum(each.verdict == 'holds' for each in trial.findings)} hold"
    if trial.gone:
        counts += f", gone: {', '.join(trial.gone)}"
    print(counts)


def _line(finding: Finding, wide: int) -> str:
    took = f"{finding.took_s:6.2f} s" if finding.took_s else " " * 8
    note = " ".join(finding.note.split())
    return f"  {finding.verdict:<7}  {finding.name:<{wide}}  {took}  {note}"


_COMMANDS = {"list": _list, "show": _show, "test": _test, "learn": _learn}
