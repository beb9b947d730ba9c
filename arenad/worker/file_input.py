"""Files into a page, as a person brings them: chosen in its input or its dialog, pasted, dropped.

The files stand on disk, where the browser reads them; nothing of them passes through DevTools.
"""

import asyncio
import json
from collections.abc import Sequence
from typing import Literal, cast

from arenad.errors import ProfileOutdated, UpstreamFailed
from arenad.schema.profile import Landmarks
from arenad.worker.devtools import Params
from arenad.worker.page import Page, selectors

COMMAND_S = 10.0


async def found(page: Page, name: str, places: tuple[str, ...]) -> str:
    """The selector that has an input for files, or what may open one. Raises `ProfileOutdated`."""
    each = "arenad.fileInput([one]) || arenad.usable([one])"
    at = await page.evaluate(f"{json.dumps(places)}.findIndex((one) => {each})")
    if at == -1:
        raise ProfileOutdated(f"the landmark {name} ({' or '.join(places)}) is not on the page")
    return places[int(cast("float", at))]


async def choose(
    page: Page, name: str, places: tuple[str, ...], paths: Sequence[str], timeout_s: float
) -> None:
    """Choose files in an input, hidden or not, or in the dialog that a press opens.

    An input for one file is given one after another. Raises `ProfileOutdated` naming the landmark.
    """
    shown = json.dumps(places)
    at_once = bool(await page.evaluate(f"!!arenad.fileInput({shown})?.multiple"))
    for batch in [list(paths)] if at_once else [[path] for path in paths]:
        if thing := await page.thing(f"arenad.fileInput({shown})"):
            await page.command("DOM.setFileInputFiles", {"files": batch, "objectId": thing})
        else:
            await _choose_in_dialog(page, name, places, batch, timeout_s)


async def _choose_in_dialog(
    page: Page, name: str, places: tuple[str, ...], paths: list[str], timeout_s: float
) -> None:
    opened: asyncio.Future[Params] = asyncio.get_running_loop().create_future()

    def on_opened(params: Params) -> None:
        if not opened.done():
            opened.set_result(params)

    page.on("Page.fileChooserOpened", on_opened)
    await page.command("Page.setInterceptFileChooserDialog", {"enabled": True})
    try:
        await page.press(name, places, timeout_s)
        async with asyncio.timeout(timeout_s):
            node = (await opened)["backendNodeId"]
    except TimeoutError as error:
        why = f"was pressed, but no dialog for files opened within {timeout_s:g} s"
        raise ProfileOutdated(f"the landmark {name} ({' or '.join(places)}) {why}") from error
    finally:
        await page.command("Page.setInterceptFileChooserDialog", {"enabled": False})
    await page.command("DOM.setFileInputFiles", {"files": paths, "backendNodeId": node})


async def give(
    page: Page, way: Literal["paste", "drop"], named: tuple[str, tuple[str, ...]], paths: list[str]
) -> None:
    """Paste or drop files onto an element. Raises `ProfileOutdated` when that is not there."""
    name, places = named
    thing = await page.thing("arenad.ownInput()")
    await page.command("DOM.setFileInputFiles", {"files": paths, "objectId": thing})
    if not await page.evaluate(f"arenad.give({json.dumps(way)}, {json.dumps(places)})"):
        raise ProfileOutdated(f"the landmark {name} ({' or '.join(places)}) is not on the page")


class Watch:
    """Sees whether the page takes files: counted before, and again until all of them show."""

    def __init__(self, page: Page, marks: Landmarks) -> None:
        """Nothing is counted yet."""
        self._page = page
        self._marks = json.dumps(
            {
                "uploaded": selectors(marks.uploaded),
                "uploading": selectors(marks.uploading),
                "failed": selectors(marks.upload_failed),
            }
        )
        self._before = (0, 0)

    async def begin(self) -> None:
        """Count what shows already."""
        found = await self._page.evaluate(f"arenad.uploads({self._marks})")
        taken, failed = cast("list[int]", found)
        self._before = taken, failed

    async def taken(self, count: int, timeout_s: float) -> None:
        """Until so many more show. Raises `UpstreamFailed` with what the page says instead."""
        before, said = self._before
        asked = f"{self._marks}, {before + count}, {said}, {int(timeout_s * 1000)}"
        why = await self._page.evaluate(f"arenad.taken({asked})", timeout_s + 5.0)
        if why is None:
            told = f"the page did not show {count} uploaded files within {timeout_s:g} s"
            raise UpstreamFailed(f"{told} (landmark uploaded)")
        if why:
            raise UpstreamFailed(f"the site did not take a file: {str(why)[:300]}")
