"""The rules of the house that a machine can hold: floors, brains, sizes, names, words."""

import ast
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
import yaml

from arenad import config
from arenad.schema.config import Config

ROOT = Path(__file__).parent.parent
SOURCES = sorted(
    path
    for folder in ("arenad", "arenactl")
    for path in (ROOT / folder).rglob("*.py")
    if "__pycache__" not in path.parts
)
TREES = {path.relative_to(ROOT).as_posix(): ast.parse(path.read_bytes()) for path in SOURCES}
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())

FILE_LINES = 500
BODY_LINES = 50
PARAMETERS = 6
NESTING = 3

Function = ast.FunctionDef | ast.AsyncFunctionDef
Finding = tuple[int, str]


def report(
    find: Callable[[ast.Module], Iterator[Finding]], names: Iterator[str] | None = None
) -> str:
    """Every finding, one to a line, as an editor can jump to it."""
    return "\n".join(
        f"{name}:{line}: {text}"
        for name in (TREES if names is None else names)
        for line, text in find(TREES[name])
    )


def functions(tree: ast.AST) -> Iterator[Function]:
    """Every function and method, wherever it stands."""
    yield from (node for node in ast.walk(tree) if isinstance(node, Function))


def called(node: ast.AST) -> str:
    """The dotted name of what is called; empty for what is no plain call."""
    return ast.unparse(node.func) if isinstance(node, ast.Call) else ""


# -- floors and brains ------------------------------------------------------------------------------

CONTRACTS = {each["type"]: each for each in SETTINGS["tool"]["importlinter"]["contracts"]}
BRAINS = [
    name.replace(".", "/") + ".py"
    for contract in SETTINGS["tool"]["importlinter"]["contracts"]
    if contract["name"].startswith("Brains")
    for name in contract["source_modules"]
]
DECLARED_BRAINS = (
    "arenad/media.py",
    "arenad/notation.py",
    "arenad/wire.py",
    "arenad/outbox.py",
    "arenad/usage.py",
    "arenad/master/life.py",
    "arenad/master/fleet.py",
    "arenad/master/change.py",
    "arenad/master/ledger.py",
    "arenad/master/report.py",
    "arenad/master/silence.py",
    "arenad/master/scale.py",
    "arenad/master/budget.py",
    "arenad/master/limits.py",
    "arenad/master/recycle.py",
    "arenad/frontend/answers.py",
    "arenad/frontend/answers_in_events.py",
    "arenad/frontend/balance.py",
    "arenad/frontend/breaker.py",
    "arenad/frontend/calls.py",
    "arenad/frontend/queue.py",
    "arenad/frontend/speeds.py",
    "arenad/frontend/completions.py",
    "arenad/frontend/cors.py",
    "arenad/frontend/cut.py",
    "arenad/frontend/fields.py",
    "arenad/frontend/images.py",
    "arenad/frontend/instruct.py",
    "arenad/frontend/message_blocks.py",
    "arenad/frontend/messages.py",
    "arenad/frontend/obeyed.py",
    "arenad/frontend/one_line.py",
    "arenad/frontend/only_json.py",
    "arenad/frontend/openai.py",
    "arenad/frontend/parts.py",
    "arenad/frontend/quota.py",
    "arenad/frontend/response_items.py",
    "arenad/frontend/responses.py",
    "arenad/frontend/schemas.py",
    "arenad/frontend/tokens.py",
    "arenad/frontend/vocabulary.py",
    "arenad/worker/diagnosis.py",
    "arenad/worker/frame_rate.py",
    "arenad/worker/gestures.py",
    "arenad/worker/inflow.py",
    "arenad/worker/news.py",
    "arenad/worker/session.py",
    "arenad/worker/sites/api_terms.py",
    "arenad/worker/sites/attachments.py",
    "arenad/worker/sites/catalog.py",
    "arenad/worker/sites/fold.py",
    "arenad/worker/sites/guess.py",
    "arenad/worker/sites/patience.py",
    "arenad/worker/sites/grammars/answer.py",
    "arenad/worker/sites/grammars/arena_lines.py",
    "arenad/worker/sites/grammars/choose.py",
    "arenad/worker/sites/grammars/dom.py",
    "arenad/worker/sites/grammars/framing.py",
    "arenad/worker/sites/grammars/gradio.py",
    "arenad/worker/sites/grammars/growing.py",
    "arenad/worker/sites/grammars/json_answers.py",
    "arenad/worker/sites/grammars/json_text.py",
    "arenad/worker/sites/grammars/markdown.py",
    "arenad/worker/sites/grammars/plain.py",
    "arenad/worker/sites/grammars/protobuf.py",
    "arenad/worker/sites/grammars/walk.py",
    "arenad/worker/sites/refusal.py",
)
IO_CALLS = {"open", "print", "input", "exec", "eval", "breakpoint"}
IO_MODULES = {"io", "pathlib", "secrets", "shutil", "sys", "tempfile", "urllib", "datetime", "uuid"}


def test_the_contracts_list_the_brains() -> None:
    """`lint-imports` holds what pyproject.toml says; this holds that it says it of every brain."""
    assert set(DECLARED_BRAINS) <= set(BRAINS)
    assert set(BRAINS) <= set(TREES), "a contract names a module that is not there"
    assert CONTRACTS["layers"]["exhaustive"] is True


def test_brains_do_no_io() -> None:
    """What import contracts do not see: calls of built-ins, and modules that lead to the outside."""

    def find(tree: ast.Module) -> Iterator[Finding]:
        for node in ast.walk(tree):
            if called(node) in IO_CALLS:
                yield node.lineno, f"a brain calls {called(node)}()"
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in IO_MODULES & {each.partition(".")[0] for each in names}:
                yield node.lineno, f"a brain imports {name}"
            if isinstance(node, ast.AsyncFunctionDef | ast.Await):
                yield node.lineno, "a brain waits"

    assert not (found := report(find, iter(BRAINS))), found


# -- messages and configuration ---------------------------------------------------------------------


def test_messages_stand_in_the_schema_alone() -> None:
    """Whatever crosses a process is defined in one folder; a brain's own value is a plain struct."""

    def find(tree: ast.Module) -> Iterator[Finding]:
        for node in ast.walk(tree):
            bases = [ast.unparse(base) for base in getattr(node, "bases", [])]
            if {base.rpartition(".")[2] for base in bases} & {"Message", "Record"}:
                yield node.lineno, f"{node.name} belongs in arenad/schema, or is a plain Struct"

    others = (name for name in TREES if not name.startswith("arenad/schema/"))
    assert not (found := report(find, others)), found


def _documented() -> dict[str, str]:
    """Every field of etc/arenad.yaml with the comment above it."""
    words: dict[str, str] = {}
    section, comment = "", ""
    for line in (ROOT / "etc/arenad.yaml").read_text().splitlines():
        if line.strip().startswith("#"):
            comment = f"{comment} {line.strip(' #')}".strip()
        elif found := re.match(r"(\w+):$", line):
            section, comment = found[1], ""
        elif found := re.match(r"(\w+): \S", line):
            words[found[1]], comment = comment, ""
        elif found := re.match(r"  (\w+): \S", line):
            words[f"{section}.{found[1]}"], comment = comment, ""
    return words


def test_the_sample_configuration_is_the_default() -> None:
    """Every field with its default: loading it changes nothing."""
    assert config.load(ROOT / "etc/arenad.yaml") == Config()
    shown = yaml.safe_load((ROOT / "etc/arenad.yaml").read_text())
    assert shown == msgspec.json.decode(msgspec.json.encode(Config()))


def test_every_field_of_the_configuration_is_explained() -> None:
    """In the order of the types, each with one line of meaning above it."""
    fields = [
        name
        for section in msgspec.structs.fields(Config)
        for name in (
            [f"{section.name}.{field.name}" for field in msgspec.structs.fields(section.type)]
            if isinstance(section.type, type)
            else [section.name]
        )
    ]
    documented = _documented()
    assert list(documented) == fields
    assert [name for name, comment in documented.items() if len(comment) < 20] == []


# -- tests mirror the source ------------------------------------------------------------------------

PURE = {
    "arenad/schema/base.py": "the two bases; tests/schema/test_frame.py",
    "arenad/demo/run.py": "a few lines of wiring; tests/processes",
    "arenad/worker/run.py": "wiring; tests/processes",
    "arenad/worker/browser.py": "needs a browser; tests/page/test_worker_browser.py",
    "arenad/trials.py": "a command; tests/page/test_site_command.py",
    "arenad/schema/login.py": "tests/worker/test_login.py",
    "arenad/schema/trial.py": "tests/page/test_site_command.py",
    "arenad/worker/api_trial.py": "tests/page/test_site_command.py",
    "arenad/worker/socks.py": "tests/worker/test_relay.py, tests/worker/test_worker_egress.py",
    "arenad/worker/footing.py": "a port; tests/worker/test_calling.py, tests/page/test_worker_run.py",
    "arenad/worker/browsing.py": "needs a browser; tests/page/test_worker_run.py",
    "arenad/frontend/answers.py": "shapes; tests/frontend/test_official.py, tests/frontend/test_openapi.py",
    "arenad/frontend/answers_in_events.py": "shapes; tests/frontend/test_official.py",
    "arenad/frontend/openapi_headers.py": "tables; tests/frontend/test_reference.py",
    "arenad/frontend/pages.py": "tests/frontend/test_gui.py, tests/frontend/test_reference.py",
    "arenad/frontend/reply.py": "tests/frontend/test_api.py, tests/frontend/test_api_vocabularies.py",
    "arenad/worker/sites/performing.py": "tests/worker/test_http_api.py, tests/page/test_worker_site.py",
    "arenad/worker/trial.py": "needs a browser; tests/page/test_site_command.py",
    "arenad/worker/learn.py": "needs a browser; tests/page/test_site_command.py",
    "arenad/worker/first_answer.py": "needs a browser; tests/page/test_first_answer.py",
    "arenad/worker/sites/evidence.py": "tests/worker/test_guess.py",
    "arenactl/site.py": "becomes another program; tests/page/test_site_command.py",
    "arenad/worker/sites/driver.py": "needs a browser; tests/page/test_worker_driver.py",
    "arenad/worker/frames.py": "needs a browser; tests/page/test_worker_frames.py",
    "arenad/worker/screencast.py": "needs a browser; tests/processes/test_live_view.py",
    "arenad/worker/views.py": "needs a browser; tests/page/test_worker_views.py",
    "arenad/worker/page_port.py": "needs a browser; tests/page/test_page_port.py",
    "arenad/worker/bidi_page.py": "needs a browser; tests/page/test_page_port.py",
    "arenad/worker/bidi_request.py": "needs a browser; tests/page/test_worker_firefox.py",
    "arenad/worker/bidi.py": "needs a browser; tests/page/test_worker_firefox.py",
    "arenad/worker/firefox.py": "needs a browser; tests/page/test_worker_firefox.py",
    "arenad/worker/browser_process.py": "needs a browser; tests/page/test_worker_browser.py",
    "arenad/worker/engines.py": "a table; tests/page/test_page_port.py",
    "arenad/worker/file_input.py": "needs a browser; tests/page/test_worker_uploads.py",
    "arenad/worker/sites/upload.py": "needs a browser; tests/page/test_worker_uploads.py",
    "arenad/worker/sites/pictures.py": "needs a browser; tests/page/test_worker_uploads.py",
    "arenad/worker/listen.py": "needs a browser; tests/page/test_worker_streams.py",
    "arenad/worker/dom_source.py": "needs a browser; tests/page/test_worker_streams.py",
    "arenad/worker/sites/page_driven.py": "needs a browser; tests/page/test_worker_site.py",
    "arenad/worker/valve.py": "needs a browser; tests/page/test_worker_slow_readers.py",
    "arenad/master/users.py": "tests/master/test_settings.py",
    "arenad/worker/kin.py": "tests/worker/test_meter.py",
}
"""Sources without a test file of their own, and what tests them instead."""


def _test_names(source: str) -> set[str]:
    """Where the tests of a file may be; names are unique, so some carry their folder's."""
    _, *folders, name = Path(source).with_suffix("").parts
    package = Path(source).parts[0]
    stem = name.strip("_")
    if package == "arenactl":
        folders = ["arenactl", *folders]
    folder = Path("tests", *folders[:1])
    marks = {stem, "_".join([*folders, stem]), *(f"{each}_{stem}" for each in folders)}
    return {(folder / f"test_{mark}.py").as_posix() for mark in marks}


def test_each_source_has_its_tests() -> None:
    """`arenad/master/life.py` has `tests/master/test_life.py`; here is all that is missing."""
    missing = [
        f"{source}: one of {', '.join(sorted(_test_names(source)))}"
        for source in TREES
        if not source.endswith("__init__.py") and source not in PURE
        if not any((ROOT / name).is_file() for name in _test_names(source))
    ]
    named = (name for why in PURE.values() for name in re.findall(r"tests/\S+\b", why))
    stale = [source for source in PURE if source not in TREES]
    stale += [name for name in named if not (ROOT / name).exists()]
    assert not missing + stale, "\n".join(missing + stale)


def test_names_of_test_files_are_unique() -> None:
    """The folders are no packages, so two files of one name would be one module."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(name for name in set(names) if names.count(name) > 1) == []


# -- sizes ------------------------------------------------------------------------------------------


def test_files_are_short() -> None:
    """What needs more than this is two things."""
    lines = {name: len((ROOT / name).read_text().splitlines()) for name in TREES}
    assert {name: count for name, count in lines.items() if count > FILE_LINES} == {}


def _body_lines(function: Function) -> int:
    """Lines of the body without its docstring."""
    body = function.body[1:] if ast.get_docstring(function, clean=False) else function.body
    return (function.end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_functions_are_short() -> None:
    """A body fits on a screen, and its parameters into a head."""

    def find(tree: ast.Module) -> Iterator[Finding]:
        for function in functions(tree):
            arguments = function.args
            all_ = arguments.posonlyargs + arguments.args + arguments.kwonlyargs
            parameters = [each.arg for each in all_ if each.arg not in {"self", "cls"}]
            if (lines := _body_lines(function)) > BODY_LINES:
                yield function.lineno, f"{function.name} has a body of {lines} lines"
            if len(parameters) > PARAMETERS:
                yield function.lineno, f"{function.name} has {len(parameters)} parameters"

    assert not (found := report(find)), found


def _depth(node: ast.AST, depth: int = 0) -> int:
    """How deeply decisions stand in one another; `with` and `elif` are none that goes deeper."""
    blocks = ast.If | ast.For | ast.AsyncFor | ast.While | ast.Try | ast.Match
    deepest = depth
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function | ast.ClassDef | ast.Lambda):
            continue
        is_elif = isinstance(node, ast.If) and isinstance(child, ast.If) and [child] == node.orelse
        deeper = depth + (isinstance(child, blocks) and not is_elif)
        deepest = max(deepest, _depth(child, deeper))
    return deepest


def test_nothing_is_nested_deeply() -> None:
    """A fourth level is a function without a name."""

    def find(tree: ast.Module) -> Iterator[Finding]:
        for function in functions(tree):
            if (depth := _depth(function)) > NESTING:
                yield function.lineno, f"{function.name} is nested {depth} deep"

    assert not (found := report(find)), found


# -- names and words --------------------------------------------------------------------------------

VAGUE = {
    "manager",
    "helper",
    "helpers",
    "util",
    "utils",
    "misc",
    "common",
    "handler",
    "data",
    "info",
}
FORCED = {
    "data_received": "asyncio.Protocol",
    "buffer_updated": "asyncio.BufferedProtocol",
    "pipe_data_received": "asyncio.SubprocessProtocol",
}
"""Names that another library chose."""


def _words(name: str) -> set[str]:
    """`ChunkHandler` and `chunk_handler` are both chunk and handler."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+", name)}


def test_names_say_what_a_thing_is() -> None:
    """No module, class or function is named for being in the way."""

    def find(tree: ast.Module) -> Iterator[Finding]:
        for node in ast.walk(tree):
            if isinstance(node, Function | ast.ClassDef) and node.name not in FORCED:
                for word in sorted(_words(node.name) & VAGUE):
                    yield node.lineno, f"{node.name} is named {word}"

    modules = [name for name in TREES if _words(Path(name).stem) & VAGUE]
    assert not (found := report(find) + "\n".join(modules)), found


def _written() -> dict[str, str]:
    """Everything that people write here, by its name; this file names what it forbids."""
    folders = ("arenad", "arenactl", "web", "etc", "systemd", "scripts", "bench", "tests")
    suffixes = {".py", ".js", ".mjs", ".html", ".css", ".yaml", ".service", ".socket"}
    return {
        path.relative_to(ROOT).as_posix(): path.read_text()
        for folder in folders
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in suffixes and path != Path(__file__) and "vendor" not in path.parts
    }


@pytest.mark.parametrize(
    ("pattern", "where"),
    [
        (r"\b(TODO|FIXME|XXX)\b", ""),
        (r"#\s*type:\s*ignore", ""),
        (r"\b(innerHTML|outerHTML|insertAdjacentHTML|document\.write)\b", "web/"),
        (r"pyright: ignore(?!\[\w+(, \w+)*\] - \S)", "arena"),
        (r"# noqa(?!: [A-Z0-9, ]+ - \S)", "arena"),
    ],
)
def test_what_is_never_written(pattern: str, where: str) -> None:
    """Notes to oneself, silenced checkers without a rule and a reason, markup from strings."""
    found = [
        f"{name}:{text.count(chr(10), 0, match.start()) + 1}: {match[0]}"
        for name, text in _written().items()
        if name.startswith(where)
        for match in re.finditer(pattern, text)
    ]
    assert not found, "\n".join(found)


# -- time and errors --------------------------------------------------------------------------------

SLEEPS = {
    "arenad/frontend/run.py:_beat": "counters go to the master at an interval, if they changed",
    "arenad/worker/run.py:_beat": "measurements go to the master at an interval",
    "arenad/worker/echoing.py:chat": "an echo is paced",
    "arenad/worker/traffic.py:calm": "sockets at rest: nothing happens, for so long",
    "arenad/worker/frames.py:_draw": "a page that was not drawn is tried again after a moment",
    "arenad/child.py:_beat": "the beat by which the master knows a hang from a rest",
    "arenad/demo/generation.py:paced": "the pace of a model that writes is the point",
    "arenad/demo/generation.py:_beat": "the site's own heartbeat while it is silent",
    "arenad/demo/scenes.py:staged": "a fault: silence, or heartbeats alone, before an answer",
    "arenad/demo/scenes.py:_after_first": "a fault: silence in the middle of an answer",
    "arenad/frontend/gui.py:_watch": "a master that refuses to tell its state is asked again",
    "arenad/frontend/counters.py:begin": "a lock that is held for microseconds, never by the kernel",
    "arenad/frontend/once.py:_held": "no event tells when another process unlocks a file",
    "arenad/frontend/once.py:sweep": "what is kept for a while is removed when that is over",
    "arenad/frontend/kept.py:sweep": "what is kept for a while is removed when that is over",
    "arenad/frontend/recording.py:_keep": "the recorder's socket is there always; when not, nothing tells",
    "arenad/frontend/pool.py:_keep_link": "no event tells when a worker listens again",
    "arenad/worker/screencast.py:_start": "no event tells that a page has a document to be shown",
}
"""Where time itself is waited for. Everything else waits for an event, with a deadline."""

BOUNDARIES = {
    "arenad/link.py:_answer": "a served call: the bug is logged, and the caller answered",
    "arenad/child.py:live": "a process: nobody is left to handle it",
    "arenad/log.py:emit": "a log call: never the trouble of the one who logs",
    "arenad/frontend/reply.py:stream": "an answer that has begun: its end must be an error frame",
    "arenad/frontend/abreast.py:_carry": "one of several answers: who reads them all raises it",
    "arenad/frontend/guard.py:_boundary": "an HTTP request: the bug is logged, and answered",
    "arenad/master/zygote.py:_fork_zygote": "a process: the master sees only that it died",
    "arenad/master/zygote.py:_become": "a process: the master sees only its exit code",
    "arenad/master/zygote.py:_work_apart": "a process: the master sees only that it failed",
    "arenad/worker/devtools.py:_call": "a listener: its bug must not end the browser's link",
    "arenad/worker/bidi.py:_tell": "a listener: its bug must not end the browser's link",
    "arenad/worker/run.py:_guarded": "a part of the worker: its bug is the end of all, and is said",
}
"""Where every error is caught, and why."""


def _in_functions(
    tree: ast.Module, matches: Callable[[ast.AST], bool]
) -> Iterator[tuple[str, int]]:
    """Innermost function and line of each node that matches; outside of all, an empty name."""

    def walk(node: ast.AST, name: str) -> Iterator[tuple[str, int]]:
        if isinstance(node, Function):
            name = node.name
        if matches(node):
            yield name, node.lineno
        for child in ast.iter_child_nodes(node):
            yield from walk(child, name)

    return walk(tree, "")


def _hold(allowed: dict[str, str], matches: Callable[[ast.AST], bool], what: str) -> None:
    """All that matches is allowed, and all that is allowed is still there."""
    found = {
        f"{path}:{name}": line
        for path, tree in TREES.items()
        for name, line in _in_functions(tree, matches)
    }
    wrong = [
        f"{place} (line {line}): {what}" for place, line in found.items() if place not in allowed
    ]
    stale = [f"{place}: is allowed, but gone" for place in allowed if place not in found]
    assert not wrong + stale, "\n".join(wrong + stale)


def test_nobody_sleeps_but_those_who_keep_time() -> None:
    """Polling where an event would tell is a smell; each sleep has its reason here."""
    _hold(SLEEPS, lambda node: called(node) in {"asyncio.sleep", "time.sleep", "sleep"}, "sleeps")


def _catches_all(node: ast.AST) -> bool:
    if not isinstance(node, ast.ExceptHandler):
        return False
    caught = ast.unparse(node.type) if node.type else "BaseException"
    reraises = isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None
    return bool({"Exception", "BaseException"} & set(re.findall(r"\w+", caught))) and not reraises


def test_every_error_is_caught_only_at_named_boundaries() -> None:
    """Elsewhere an unexpected error goes up to one of them."""
    _hold(BOUNDARIES, _catches_all, "catches every error")
