"""`site`: handed to the daemon's own program, which can open a page; no daemon need run."""

import os
import sys
from typing import NoReturn

from arenactl.arguments import Options
from arenactl.output import Output


def site(options: Options, _: Output) -> NoReturn:
    """Become `arenad site …`, whose output and exit code are then this command's."""
    words = [*(options.words or ("-h",)), *(["--json"] if options.json else [])]
    sys.stdout.flush()
    # -P: a folder named arenad where somebody happens to stand is not the program
    os.execv(sys.executable, [sys.executable, "-P", "-m", "arenad", "site", *words])  # noqa: S606 - no shell is wanted
