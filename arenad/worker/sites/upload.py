"""Attaches files to the message that is to be written, by the profile's way, and sees it done.

For that long they stand in a folder of their own within the instance's scratch folder.
"""

import asyncio
import shutil
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from arenad.schema.chat import Attachment
from arenad.schema.profile import Profile, Step
from arenad.worker import file_input
from arenad.worker.page_port import PagePort
from arenad.worker.sites.driver import Driver

BY_INPUT = (Step(choose="attach"),)
"""The steps of a profile that only names where files are chosen."""


class Upload:
    """One message's files at a time."""

    def __init__(self, scratch: Path | None) -> None:
        """Files are put below `scratch`; without one, where temporary files go."""
        self._scratch = scratch
        self._folder: Path | None = None
        self._lock = threading.Lock()
        self._wish = 0
        """Which message's files are wanted; a thread cannot be cancelled, so it looks here."""

    async def attach(
        self, page: PagePort, driver: Driver, profile: Profile, files: Sequence[Attachment]
    ) -> None:
        """Until the page shows all of them as taken. Raises a `RequestError`, `BrowserError`."""
        self.clear()  # an older chat of the site's may have been tried with them
        paths = await asyncio.to_thread(self._lay_out, files, self._wish)
        watch = file_input.Watch(page, profile.landmarks, profile.limits.upload_s)
        await watch.begin()
        for number, step in enumerate(profile.attach or BY_INPUT):
            path = f"attach[{number}]"
            if step.choose:
                name, places = driver.named(path, step.choose)
                await file_input.choose(watch, name, places, paths, step.within_s)
            elif step.paste:
                named = driver.named(path, step.paste)
                await file_input.give(page, "paste", named, paths)
            elif step.drop:
                named = driver.named(path, step.drop)
                await file_input.give(page, "drop", named, paths)
            else:
                await driver.step(path, step)
        await watch.taken(len(paths))

    def _lay_out(self, files: Sequence[Attachment], wish: int) -> list[str]:
        """Each in a folder of its own, for two may have the same name.

        Whatever is laid out for a message that was given up meanwhile is removed here.
        """
        folder = Path(tempfile.mkdtemp(prefix="upload-", dir=self._scratch))
        paths: list[str] = []
        try:
            for number, file in enumerate(files):
                path = folder / str(number) / file.name
                path.parent.mkdir(mode=0o700)
                path.write_bytes(file.content)
                paths.append(str(path))
        finally:
            with self._lock:
                is_wanted = wish == self._wish and len(paths) == len(files)
                if is_wanted:
                    self._folder = folder
            if not is_wanted:
                shutil.rmtree(folder, ignore_errors=True)
        return paths

    def clear(self) -> None:
        """Remove the files: a few unlinks on a local disk."""
        with self._lock:
            self._wish += 1
            folder, self._folder = self._folder, None
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
