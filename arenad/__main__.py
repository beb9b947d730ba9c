"""The `arenad` command: read the configuration, then become the master (or only check it)."""

import argparse
import sys
from pathlib import Path

from arenad import __version__, config, log
from arenad.errors import ConfigError
from arenad.master import run

EXIT_CONFIG = 78  # EX_CONFIG of sysexits(3)
DEFAULT_PATHS = (Path("/etc/arenad/arenad.yaml"), Path("/etc/arenad.yaml"))


def main(argv: list[str] | None = None) -> int:
    """Run the daemon in the foreground; gives the exit code."""
    arguments = _parser().parse_args(argv)
    log.setup("master", "info", lambda _: None)
    path: Path | None = arguments.config or next(filter(Path.exists, DEFAULT_PATHS), None)
    try:
        settings = config.load(path) if path else config.parse(b"")
        if arguments.check:
            print(f"{path or 'the built-in configuration'}: is fine")
            return 0
        return run.run(settings)
    except ConfigError as error:
        for fault in error.faults:
            print(f"arenad: {fault}", file=sys.stderr)
        return EXIT_CONFIG


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="arenad",
        description="A pool of browser sessions on chat pages, as one OpenAI-compatible endpoint.",
        epilog=f"Exit codes: 0 stopped as asked, 2 usage, {EXIT_CONFIG} the configuration is faulty.",
    )
    parser.add_argument("--config", "-c", type=Path, help="the configuration file (YAML)")
    parser.add_argument(
        "--check", "-n", action="store_true", help="check the configuration and leave"
    )
    parser.add_argument("--version", action="version", version=f"arenad {__version__}")
    return parser


if __name__ == "__main__":
    sys.exit(main())
