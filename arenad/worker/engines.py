"""The engines that have a driver here, and how each of them is started."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from arenad.schema.config import BrowserConfig
from arenad.schema.engine import Engine
from arenad.worker import browser, firefox
from arenad.worker.browser_process import BrowserBroken, BrowserProcess

Launch = Callable[[BrowserConfig, Path, str], Awaitable[BrowserProcess]]

LAUNCHES: dict[Engine, Launch] = {"chromium": browser.launch, "firefox": firefox.launch}


async def launch(config: BrowserConfig, scratch: Path, name: str) -> BrowserProcess:
    """Start the engine that is configured, in a new folder `scratch`, and wait until it answers.

    Raises `BrowserBroken` or `finder.BrowserNotFound`; then nothing of it is left.
    """
    if config.engine not in LAUNCHES:
        raise BrowserBroken(f"browser.engine: is {config.engine}, for which there is no driver")
    return await LAUNCHES[config.engine](config, scratch, name)
