"""Files into a page, as a person brings them: chosen in its input or its dialog, pasted, dropped.

The files stand on disk, where the browser reads them; nothing of them passes through DevTools.
"""

import json
from collections.abc import Sequence
from functools import partial
from typing import Literal, cast

from arenad.errors import InvalidRequest, ProfileOutdated, UpstreamFailed
from arenad.schema.profile import Landmarks
from arenad.worker.page_port import PagePort, selectors

WAY_S = 2.0
"""A page that draws itself anew gets so long to show where files are chosen."""


async def has_way(page: PagePort, places: tuple[str, ...]) -> bool:
    """Whether there is an input for files, or what may open a dialog for them."""
    asked = f"arenad.hasWay({json.dumps(places)}, {int(WAY_S * 1000)})"
    return bool(await page.evaluate(asked))


async def choose(
    watch: "Watch", name: str, places: tuple[str, ...], paths: Sequence[str], timeout_s: float
) -> None:
    """Choose files in an input, hidden or not, or in the dialog that a press opens.

    An input for one file is given one after another, each when the page has taken the one before.
    Raises `ProfileOutdated` naming the landmark, `UpstreamFailed`.
    """
    page, shown = watch.page, json.dumps(places)
    await _check_way(page, places, 0, len(paths))
    at_once = bool(await page.evaluate(f"!!arenad.fileInput({shown})?.multiple"))
    for number, batch in enumerate([list(paths)] if at_once else [[path] for path in paths]):
        if number:
            await watch.taken(number)
            await _check_way(page, places, number, len(paths))
        if not await page.give_files(f"arenad.fileInput({shown})", batch):
            await _choose_in_dialog(page, name, places, batch, timeout_s)


async def _check_way(page: PagePort, places: tuple[str, ...], taken: int, wanted: int) -> None:
    """Raises `InvalidRequest` when the page shows no way for (more) files.

    It may be one that takes none, or takes no further one: for words alone it is as good as ever.
    """
    if not await has_way(page, places):
        told = f"bring {wanted} files; the page took {taken}, and shows no way for more"
        shown = f"landmark attach, {' or '.join(places)}"
        raise InvalidRequest(f"messages: {told} ({shown}); leave them out", param="messages")


async def _choose_in_dialog(
    page: PagePort, name: str, places: tuple[str, ...], paths: list[str], timeout_s: float
) -> None:
    try:
        await page.choose_files(partial(page.press, name, places, timeout_s), paths, timeout_s)
    except TimeoutError as error:
        why = f"was pressed, but no dialog for files opened within {timeout_s:g} s"
        raise ProfileOutdated(f"the landmark {name} ({' or '.join(places)}) {why}") from error


async def give(
    page: PagePort,
    way: Literal["paste", "drop"],
    named: tuple[str, tuple[str, ...]],
    paths: list[str],
) -> None:
    """Paste or drop files onto an element. Raises `ProfileOutdated` when that is not there."""
    name, places = named
    await page.give_files("arenad.ownInput()", paths)
    if not await page.evaluate(f"arenad.give({json.dumps(way)}, {json.dumps(places)})"):
        raise ProfileOutdated(f"the landmark {name} ({' or '.join(places)}) is not on the page")


class Watch:
    """Sees whether the page takes files: counted before, and again until all of them show."""

    def __init__(self, page: PagePort, marks: Landmarks, limit_s: float) -> None:
        """Nothing is counted yet; all files together may take so long."""
        self.page = page
        self._limit_s = limit_s
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
        found = await self.page.evaluate(f"arenad.uploads({self._marks})")
        taken, failed = cast("list[int]", found)
        self._before = taken, failed

    async def taken(self, count: int) -> None:
        """Until so many more show. Raises `UpstreamFailed` with what the page says instead."""
        (before, said), limit_s = self._before, self._limit_s
        asked = f"{self._marks}, {before + count}, {said}, {int(limit_s * 1000)}"
        why = await self.page.evaluate(f"arenad.taken({asked})", limit_s + 5.0)
        if why is None:
            told = f"the page did not show {count} uploaded files within {limit_s:g} s"
            raise UpstreamFailed(f"{told} (landmark uploaded)")
        if why:
            raise UpstreamFailed(f"the site did not take a file: {str(why)[:300]}")
