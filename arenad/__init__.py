"""arenad: a pool of browser sessions on chat pages, served as one OpenAI-compatible endpoint."""

import importlib
import sys
from typing import Any, cast

__version__ = "0.1.0"

_EXTRAS = "typing_extensions"


def _import_msgspec_plainly() -> None:
    """Import msgspec as where there is no typing_extensions, of which it can use two names.

    They are in the `typing` of every Python that we run on. What typing_extensions brings along is
    a tenth of the master's memory, and a quarter of the time that arenactl takes to start.
    """
    modules = cast("dict[str, Any]", sys.modules)
    if _EXTRAS not in modules:
        modules[_EXTRAS] = None  # an import of it now fails, as if it were not installed
        importlib.import_module("msgspec")
        del modules[_EXTRAS]


_import_msgspec_plainly()
