"""What a site stores is seen by the session that it was stored in, by no other, and by nobody later."""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nosy_site
import pytest
from chats import whole
from daemon import Daemon, until
from nosy_site import NosySite

NOTHING: dict[str, Any] = {
    "cookie": "",
    "local": {},
    "session": {},
    "database": [],
    "caches": [],
    "workers": [],
}


class Nosy(Daemon):
    """A daemon with two instances on the nosy site."""

    def furnish(self) -> None:
        folder = self.folder / "profiles"
        folder.mkdir()
        (folder / "nosy.yaml").write_text(nosy_site.PROFILE)


@pytest.fixture
def site() -> Iterator[NosySite]:
    """The site alone."""
    with nosy_site.serving() as site:
        yield site


def _marks_of(visit: str, url: str) -> dict[str, Any]:
    return {
        "cookie": f"mark={visit}",
        "local": {"mark": visit},
        "session": {"mark": visit},
        "database": [visit],
        "caches": [visit],
        "workers": [f"{url}/"],
    }


def _files_with(folder: Path, mark: bytes) -> list[Path]:
    return [
        path
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink() and mark in path.read_bytes()
    ]


def test_a_session_sees_nothing_of_another(site: NosySite) -> None:
    """Of two instances, and of what was there before a renewal; afterwards no file knows of any."""
    daemon = Nosy(2, {"site": {"profile": "nosy", "url": site.url}})
    try:
        daemon.wait_well()
        until(lambda: _are_whole(site, 2), "both pages have looked and left their marks")
        assert asyncio.run(whole(daemon.api_url, "nosy", "hello")) == "well"
        for name in ("w1", "w2"):
            assert daemon.ctl("renew", name).returncode == 0
        until(lambda: _are_whole(site, 4), "the fresh sessions have, too")
    finally:
        daemon.stop()
    for visit, report in site.reports.items():
        before, after = report["before"], report["after"]
        news = before.pop("cached")
        assert before == NOTHING
        assert after == {**_marks_of(visit, site.url), "cached": news}
    news = [report["after"]["cached"] for report in site.reports.values()]
    assert len(set(news)) == len(news)
    assert daemon.leftovers() == []
    assert _files_with(daemon.folder, b"visit-") == []
    shutil.rmtree(daemon.folder)


def _are_whole(site: NosySite, visits: int) -> bool:
    return len(site.reports) >= visits and all("after" in each for each in site.reports.values())
