"""`arenactl`: the command line in, the exit code out."""

import os
import sys
from collections.abc import Sequence

from arenactl import arguments, client
from arenactl.commands import COMMANDS, FAILED, LOCAL, UNREACHABLE, USAGE, WELL
from arenactl.output import Output
from arenad.errors import ArenadError, LinkLost, RequestError

INTERRUPTED = 130
"""What a shell reports of a command that Ctrl-C ended."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. A reader that went away (`| head`) is a quiet end."""
    words = sys.argv[1:] if argv is None else argv
    try:
        code = _run(words)
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes stdout once more at its end; let that go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return WELL
    return code


def _run(words: Sequence[str]) -> int:
    try:
        options = arguments.parse(words)
    except arguments.Usage as wrong:
        return _refuse(wrong, as_json="--json" in words)
    except SystemExit:
        return WELL
    output = Output(os.environ, as_json=options.json)
    try:
        if (local := LOCAL.get(options.command)) is not None:
            return local(options, output)
        path = client.find_socket(options.runtime_dir, os.environ, os.getuid())
        with client.connect(path) as connection:
            return COMMANDS[options.command](connection, options, output)
    except ArenadError as error:
        kind, code = _end_of(error)
        output.failed(kind, str(error))
        return code
    except KeyboardInterrupt:
        output.failed("interrupted", "no longer waiting; what the daemon was told still stands")
        return INTERRUPTED


def _refuse(wrong: arguments.Usage, *, as_json: bool) -> int:
    output = Output(os.environ, as_json=as_json)
    if not as_json:
        print(wrong.usage, end="", file=sys.stderr)
    output.failed("usage", wrong.message)
    return USAGE


def _end_of(error: ArenadError) -> tuple[str, int]:
    """The name of an error for programs, and the exit code it ends with."""
    match error:
        case RequestError():
            return error.kind, FAILED
        case client.DeadlinePassed():
            return "timeout", FAILED
        case client.ProtocolBroken():
            return "protocol", FAILED
        case client.Unreachable():
            return "unreachable", UNREACHABLE
        case LinkLost():
            return "link_lost", UNREACHABLE
        case _:
            return "internal", FAILED


if __name__ == "__main__":
    sys.exit(main())
