"""The state folder: made, checked, given to the children's user, and to one daemon alone."""

import os
import stat
from pathlib import Path

import pytest

from arenad.master.archive import Unusable, claim

ME = (os.getuid(), os.getgid())
NOBODY = (65534, 65534)

as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root gives folders away")


def fault(folder: Path, user: tuple[int, int] = ME) -> str:
    with pytest.raises(Unusable) as caught:
        claim(folder, user)
    return str(caught.value)


def test_it_is_made_for_its_user_alone(tmp_path: Path) -> None:
    """With all that is missing above it."""
    folder = tmp_path / "deep" / "state"
    held = claim(folder, ME)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert folder.stat().st_uid == ME[0]
    os.close(held)


def test_one_daemon_at_a_time(tmp_path: Path) -> None:
    """Until the first one ends."""
    held = claim(tmp_path / "state", ME)
    assert "another arenad uses" in fault(tmp_path / "state")
    os.close(held)
    os.close(claim(tmp_path / "state", ME))


def test_where_others_write_nothing_is_kept(tmp_path: Path) -> None:
    """They could put anything into its place."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(0o770)
    assert "others may write" in fault(tmp_path / "state")


def test_links_and_files_are_no_folder(tmp_path: Path) -> None:
    """Neither is followed or replaced."""
    (tmp_path / "link").symlink_to(tmp_path)
    assert "cannot be made or opened" in fault(tmp_path / "link")
    (tmp_path / "file").write_text("")
    assert "cannot be made or opened" in fault(tmp_path / "file")
    assert "cannot be made or opened" in fault(tmp_path / "file" / "state")


def test_a_folder_of_somebodys_own_keeps_its_mode(tmp_path: Path) -> None:
    """Whoever names a folder with other things in it did not mean to close it to readers."""
    folder = tmp_path / "state"
    folder.mkdir(mode=0o755)
    (folder / "letters").write_text("")
    os.close(claim(folder, ME))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    (folder / "letters").rename(folder / "history.db")
    os.close(claim(folder, ME))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@as_root
def test_root_gives_it_to_the_children(tmp_path: Path) -> None:
    """A new one, an empty one, and one with a history in it."""
    folder = tmp_path / "state"
    for _ in range(2):
        os.close(claim(folder, NOBODY))
        assert (folder.stat().st_uid, folder.stat().st_gid) == NOBODY
        os.chown(folder, 0, 0)
        (folder / "history.db").write_text("")


@as_root
def test_root_gives_nothing_else_away(tmp_path: Path) -> None:
    """`state_dir: /var/lib` must not make that folder nobody's."""
    (tmp_path / "dpkg").mkdir()
    assert "is root's and holds other things, such as dpkg" in fault(tmp_path, NOBODY)
    assert tmp_path.stat().st_uid == 0


@as_root
def test_anothers_folder_is_refused(tmp_path: Path) -> None:
    """Neither ours nor the children's."""
    os.chown(tmp_path, 1234, 1234)
    assert "belongs to another user" in fault(tmp_path, NOBODY)
