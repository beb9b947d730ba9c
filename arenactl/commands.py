"""The commands: each asks the daemon, says what came of it, and gives the exit code."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping

import msgspec

from arenactl import progress, render
from arenactl.arguments import LEVELS, Options
from arenactl.client import ANSWER_S, FOREVER, Client, DeadlinePassed
from arenactl.output import Output
from arenactl.site import site
from arenad.errors import LinkLost
from arenad.schema.control import (
    Done,
    DrainOne,
    ForgetSession,
    GetState,
    GetStory,
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
from arenad.schema.frame import Body
from arenad.schema.paths import view_url
from arenad.schema.process import LogLine

WELL, FAILED, USAGE, UNREACHABLE, NOT_WELL = range(5)
"""Exit codes, as `arguments.EXIT_CODES` explains them."""

UPGRADE_ANSWER_S = 60.0
"""The daemon answers when it has looked at the new program; then the connection ends."""

SEARCHED_LINES = 10_000
"""How far back `logs` looks for lines of one source or level."""


def status(client: Client, _: Options, output: Output) -> int:
    """Is it well, and what is going on."""
    state = _state(client)
    if output.as_json:
        output.document(state)
    else:
        output.page(render.status(state, colour=output.colour))
    return WELL if state.word == "well" else NOT_WELL


def instances(client: Client, _: Options, output: Output) -> int:
    """The workers alone."""
    state = _state(client)
    if output.as_json:
        output.document(render.workers(state))
    else:
        output.page(render.instances(state, colour=output.colour))
    return WELL


def scale(client: Client, options: Options, output: Output) -> int:
    """Have so many instances."""
    template, wanted = options.instances
    order = Scale(wanted, template)

    def wish(before: State) -> progress.Wish:
        return progress.scaled(wanted, before, template)

    return _order(client, order, wish, options, output)


def restart(client: Client, options: Options, output: Output) -> int:
    """Start a child anew."""
    name = options.name
    order = Restart(name)
    return _order(client, order, lambda before: progress.restarted(name, before), options, output)


def drain(client: Client, options: Options, output: Output) -> int:
    """Stop an instance in order."""
    name = options.name
    order = DrainOne(name)
    return _order(client, order, lambda before: progress.drained(name, before), options, output)


def renew(client: Client, options: Options, output: Output) -> int:
    """Begin a fresh session."""
    output.done(client.ask(RenewOne(options.name), Done).text)
    return WELL


def forget_session(client: Client, options: Options, output: Output) -> int:
    """Remove a saved login."""
    output.done(client.ask(ForgetSession(options.name), Done).text)
    return WELL


def reset(client: Client, options: Options, output: Output) -> int:
    """Forget deaths."""
    output.done(client.ask(Reset(options.name), Done).text)
    return WELL


def story(client: Client, options: Options, output: Output) -> int:
    """One child's life so far."""
    told = client.ask(GetStory(options.name), StoryOf)
    if output.as_json:
        output.document(msgspec.structs.asdict(told))
    else:
        output.page(render.story(told, colour=output.colour))
    return WELL


def view(client: Client, options: Options, output: Output) -> int:
    """Where a person sees an instance's page, and acts on it."""
    state = _state(client)
    workers = {child.name: child for child in render.workers(state)}
    if (child := workers.get(options.name)) is None:
        there = ", ".join(workers) or "none"
        output.failed("refused", f"there is no instance {options.name}; there are: {there}")
        return FAILED
    url = view_url(state.gui_url, child.name)
    if output.as_json:
        needs = render.needs_person(child)
        output.document({"name": child.name, "url": url, "needs_person": needs})
    else:
        output.page([url])
    return WELL


def reload(client: Client, options: Options, output: Output) -> int:
    """Follow a changed configuration."""
    deadline = time.monotonic() + options.timeout_s
    wish = progress.renewed(_state(client))
    told = client.ask(Reload(options.dry_run), Reloaded)
    if output.as_json:
        output.document(told)
    else:
        output.page(render.changes(told, is_rehearsal=options.dry_run))
    if options.dry_run or not options.wait:
        return WELL
    states = (now.state for now in client.stream(Watch(), StateNow, deadline))
    return _follow(states, wish, options.timeout_s, output)


def upgrade(client: Client, options: Options, output: Output) -> int:
    """Have the daemon become what is installed now."""
    deadline = time.monotonic() + options.timeout_s
    wish = progress.renewed(_state(client))
    accepted = client.ask(Upgrade(), Done, time.monotonic() + UPGRADE_ANSWER_S)
    if not options.wait:
        output.done(accepted.text)
        return WELL
    output.progress(accepted.text)
    client.wait_closed(deadline)
    with client.again() as successor:
        states = (now.state for now in successor.stream(Watch(), StateNow, deadline))
        return _follow(states, wish, options.timeout_s, output)


def history(client: Client, options: Options, output: Output) -> int:
    """What the recorder has kept."""
    from arenactl import history as past  # noqa: PLC0415 - `arenactl status` should not pay for it

    past.show(client, options, output)
    return WELL


def keys(client: Client, options: Options, output: Output) -> int:
    """API keys."""
    from arenactl import keys as ring  # noqa: PLC0415 - `arenactl status` should not pay for it

    return WELL if ring.ACTIONS[options.action](client, options, output) else FAILED


def stop(client: Client, options: Options, output: Output) -> int:
    """End the daemon."""
    deadline = time.monotonic() + options.timeout_s
    accepted = client.ask(Shutdown(), Done)
    if not options.wait:
        output.done(accepted.text)
        return WELL
    output.progress(accepted.text)
    try:
        client.wait_closed(deadline)
    except DeadlinePassed:
        raise DeadlinePassed(f"after {options.timeout_s:g} s the daemon still runs") from None
    output.done("the daemon has stopped")
    return WELL


def logs(client: Client, options: Options, output: Output) -> int:
    """Show log lines, and follow them if asked."""
    is_any = False
    try:
        for line in _log_lines(client, options):
            is_any = True
            if output.as_json:
                output.document(msgspec.structs.asdict(line))
            else:
                output.page(render.log_line(line, colour=output.colour))
    except LinkLost as lost:
        if not options.follow:
            raise
        output.remark(str(lost))
    except KeyboardInterrupt:
        if not options.follow:
            raise
    if options.source and not is_any:
        output.remark(f"no such line of {options.source}; `arenactl status` names the processes")
    return WELL


def _log_lines(client: Client, options: Options) -> Iterator[LogLine]:
    """The lines that were asked for. Without following, filters look further back than `lines`."""
    filtered = bool(options.source) or options.level != LEVELS[0]
    deep = filtered and not options.follow
    lines = max(options.lines, SEARCHED_LINES) if deep else options.lines
    deadline = FOREVER if options.follow else time.monotonic() + ANSWER_S
    stream = client.stream(Logs(lines, options.follow), LogLine, deadline)
    passed = (line for line in stream if _passes(line, options))
    return iter(deque(passed, options.lines)) if deep else passed


def _passes(line: LogLine, options: Options) -> bool:
    grave = LEVELS.index(line.level) >= LEVELS.index(options.level)
    return grave and options.source in {"", line.source}


Command = Callable[[Client, Options, Output], int]

COMMANDS: Mapping[str, Command] = {
    command.__name__.replace("_", "-"): command
    for command in (
        status,
        instances,
        scale,
        restart,
        drain,
        renew,
        forget_session,
        reset,
        reload,
        upgrade,
        story,
        view,
        history,
        keys,
        stop,
        logs,
    )
}


def install(options: Options, output: Output) -> int:
    """Put the service in place."""
    return _placed(options, output, away=False)


def uninstall(options: Options, output: Output) -> int:
    """Take the service away."""
    return _placed(options, output, away=True)


def _placed(options: Options, output: Output, *, away: bool) -> int:
    from arenactl import service  # noqa: PLC0415 - `arenactl status` should not pay for it

    try:
        is_done = (service.uninstall if away else service.install)(options, output)
    except OSError as error:
        output.failed("failed", f"{error.filename}: {error.strerror}")
        return FAILED
    return WELL if is_done else FAILED


LOCAL: Mapping[str, Callable[[Options, Output], int]] = {
    command.__name__: command for command in (install, uninstall, site)
}
"""Commands that ask no daemon."""


def _state(client: Client) -> State:
    return client.ask(GetState(), StateNow).state


def _order(
    client: Client,
    order: Body,
    wish_after: Callable[[State], progress.Wish],
    options: Options,
    output: Output,
) -> int:
    """Give an order; with --wait, compare what follows with how things were before."""
    if not options.wait:
        output.done(client.ask(order, Done).text)
        return WELL
    deadline = time.monotonic() + options.timeout_s
    wish = wish_after(_state(client))
    output.progress(client.ask(order, Done).text)
    states = (now.state for now in client.stream(Watch(), StateNow, deadline))
    return _follow(states, wish, options.timeout_s, output)


def _follow(states: Iterable[State], wish: progress.Wish, timeout_s: float, output: Output) -> int:
    """Tell each change until the wish has come true, or cannot."""
    last = progress.Look("open", "the daemon has not said how it is")
    try:
        for state in states:
            look = wish(state)
            if look.end == "done":
                output.done(look.line)
                return WELL
            if look.end == "failed":
                output.failed("failed", look.line)
                return FAILED
            if look.line != last.line:
                output.progress(look.line)
            last = look
    except DeadlinePassed:
        missing = f" ({last.missing})" if last.missing else ""
        raise DeadlinePassed(f"not done after {timeout_s:g} s: {last.line}{missing}") from None
    raise LinkLost("the daemon ended the watch before this was done")
