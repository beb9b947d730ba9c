"""The `arenad` command: read the configuration, then become the master (or only check it)."""

import argparse
import sys
from pathlib import Path

from arenad import __version__, log
from arenad.errors import ConfigError, Refused
from arenad.master import reading, run
from arenad.master.settings import Settings
from arenad.schema.config import Config

EXIT_FINE = 0
EXIT_REFUSED = 1
EXIT_CONFIG = 78  # EX_CONFIG of sysexits(3)
DEFAULT_PATHS = (Path("/etc/arenad/arenad.yaml"), Path("/etc/arenad.yaml"))


def main(argv: list[str] | None = None) -> int:
    """Run the daemon in the foreground; gives the exit code."""
    words = sys.argv[1:] if argv is None else argv
    if words[:1] == ["site"]:
        from arenad import trials  # noqa: PLC0415 - it imports what a browser needs: not the master's

        return trials.main(words[1:], _found)
    arguments = _parser().parse_args(words)
    log.setup("master", "info", lambda _: None)
    path = _found(arguments.config)

    def load() -> Config:
        return reading.read(path)

    try:
        if arguments.check_handover:
            return run.rehearse()
        if not arguments.check:
            return run.run(load)
        Settings(load())  # what the file names (profile, user, key file) must be there too
    except ConfigError as error:
        for fault in error.faults:
            print(f"arenad: {fault}", file=sys.stderr)
        return EXIT_CONFIG
    except Refused as error:
        print(f"arenad: {error}", file=sys.stderr)
        return EXIT_REFUSED
    print(f"{path or 'the built-in configuration'}: is fine")
    return EXIT_FINE


def _found(given: Path | None) -> Path | None:
    """The configuration file: the one that was named, or the first of the usual ones."""
    return given or next(filter(_is_there, DEFAULT_PATHS), None)


def _is_there(path: Path) -> bool:
    """Whether a file is there, readable or not: one that we may not read is said, not passed by."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="arenad",
        description="A pool of browser sessions on chat pages, as one OpenAI-compatible endpoint.",
        epilog=f"Exit codes: 0 stopped as asked, 2 usage, {EXIT_CONFIG} a faulty configuration.",
    )
    parser.add_argument("--config", "-c", type=Path, help="the configuration file (YAML)")
    parser.add_argument(
        "--check", "-n", action="store_true", help="check the configuration and leave"
    )
    parser.add_argument("--check-handover", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--version", action="version", version=f"arenad {__version__}")
    return parser


if __name__ == "__main__":
    sys.exit(main())
