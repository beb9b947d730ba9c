"""`install` and `uninstall`: arenad as a service of systemd, put in place and taken away again.

Every file that is written begins with a line that holds the hash of the rest. So a file tells by
itself whether it is as it was installed; such a one may be replaced and removed, others are kept.
"""

import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import arenad
from arenactl.arguments import Options
from arenactl.output import Output

FILES = {
    "systemd/arenad.sysusers": "/etc/sysusers.d/arenad.conf",
    "systemd/arenad.socket": "/etc/systemd/system/arenad.socket",
    "systemd/arenad-gui.socket": "/etc/systemd/system/arenad-gui.socket",
    "systemd/arenad.service": "/etc/systemd/system/arenad.service",
    "etc/arenad.yaml": "/etc/arenad/arenad.yaml",
}
"""What is installed, and where to."""

OWN_FOLDER = "/etc/arenad"
UNITS = ("arenad.service", "arenad.socket", "arenad-gui.socket")
SHIPPED_ENTRY = "/opt/arenad/.venv/bin/arenad"
SHIPPED_COMMAND = "/opt/arenad/.venv/bin/arenactl"
"""The path in the shipped unit; the one of this environment takes its place."""

HIDDEN = ("/root", "/home", "/run/user", "/tmp", "/var/tmp")  # noqa: S108 - named, not used
"""What the unit hides from the service (ProtectHome, PrivateTmp)."""

MARK = "# Written by `arenactl install`; sha256 of the rest: "
BOOTED = Path("/run/systemd/system")
"""There when systemd runs, sd_booted(3)."""

Standing = Literal["absent", "installed", "foreign"]


class Place(NamedTuple):
    """What a service would run: the entry point, its interpreter, the package."""

    entry: Path
    interpreter: Path
    package: Path


class File(NamedTuple):
    """A file to install."""

    path: Path
    content: bytes


def this_place() -> Place:
    """The environment that runs this command."""
    entry = Path(sys.prefix) / "bin" / "arenad"
    return Place(entry, Path(sys.executable), Path(arenad.__file__).parent)


# -- may it run there ------------------------------------------------------------------------------


def obstacles(place: Place) -> list[str]:
    """Why the service's user could not run what is at this place; nothing if it could."""
    faults: list[str] = []
    for path in place:
        seen = dict.fromkeys((path, path.resolve()))
        faults += [fault for each in seen if (fault := _obstacle(each))]
    return list(dict.fromkeys(faults))


def _obstacle(path: Path) -> str:
    for hidden in HIDDEN:
        if path.is_relative_to(hidden):
            return f"{path} is below {hidden}, which the service does not see"
    try:
        for folder in path.parents:
            if not folder.stat().st_mode & 0o001:
                return f"{path} cannot be reached by the service's user: {folder} is closed to it"
        if not path.stat().st_mode & (0o005 if path.is_dir() else 0o004):
            return f"{path} cannot be read by the service's user"
    except OSError as error:
        return f"{path}: {error.strerror}"
    return ""


def _remedy(place: Place) -> str:
    return (
        "Have a checkout at a place that everybody may read, such as /opt/arenad, made by "
        "`scripts/setup run` with a Python that everybody may run (such as /usr/bin/python3), "
        f"and use its arenactl. This one belongs to {place.entry.parent.parent}."
    )


# -- the files -------------------------------------------------------------------------------------


def files(place: Place, prefix: Path) -> Iterator[File]:
    """What is to be installed below the prefix (the root of the tree)."""
    for source, target in FILES.items():
        text = _source(source, place.package).read_text(encoding="utf-8")
        if target.endswith(".service"):
            text = text.replace(f"{SHIPPED_ENTRY} ", f"{place.entry} ")
            text = text.replace(SHIPPED_COMMAND, str(place.entry.with_name("arenactl")))
        yield File(_below(prefix, target), _marked(text.encode()))


def _source(name: str, package: Path) -> Path:
    """Inside the package when installed, beside it in a checkout."""
    inside = package / name
    return inside if inside.is_file() else package.parent / name


def _below(prefix: Path, target: str) -> Path:
    return prefix / target.lstrip("/")


def _mark(content: bytes) -> bytes:
    return f"{MARK}{hashlib.sha256(content).hexdigest()}\n".encode()


def _marked(content: bytes) -> bytes:
    return _mark(content) + content


def standing(path: Path) -> Standing:
    """Whose the file is: nobody's yet, as it was installed, or somebody else's by now."""
    if not os.path.lexists(path):
        return "absent"
    if path.is_symlink() or not path.is_file():
        return "foreign"
    mark, _, content = path.read_bytes().partition(b"\n")
    return "installed" if _mark(content) == mark + b"\n" else "foreign"


def _write(file: File) -> None:
    """Whole or not at all."""
    file.path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    number, name = tempfile.mkstemp(dir=file.path.parent, prefix=".arenad-")
    try:
        with os.fdopen(number, "wb") as stream:
            stream.write(file.content)
            os.fchmod(stream.fileno(), 0o644)
        Path(name).replace(file.path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise


# -- the commands ----------------------------------------------------------------------------------


def install(options: Options, output: Output, place: Place | None = None) -> bool:
    """Put the service in place; true if it is there now."""
    place = place or this_place()
    if faults := obstacles(place):
        for fault in faults:
            output.progress(fault)
        output.failed("unreadable", f"the service could not start. {_remedy(place)}")
        return False
    if not _may_write(options, output):
        return False
    for file in files(place, Path(options.prefix or "/")):
        output.progress(_install_one(file, dry_run=options.dry_run))
    if options.dry_run:
        output.done("nothing was written")
        return True
    told = f"start it with: systemctl enable --now {' '.join(UNITS)}"
    if options.prefix:
        output.done(f"the files are below {options.prefix}")
    elif not _tell_systemd(output, "systemd-sysusers arenad.conf", "systemctl daemon-reload"):
        return False
    else:
        output.done(f"installed; {told}")
    return True


def uninstall(options: Options, output: Output) -> bool:
    """Stop the service and remove what `install` wrote; what was edited since is kept."""
    if not _may_write(options, output):
        return False
    prefix = Path(options.prefix or "/")
    acts = not options.dry_run and not options.prefix
    present = [unit for unit in UNITS if (prefix / "etc/systemd/system" / unit).is_file()]
    if (
        acts
        and present
        and not _tell_systemd(output, f"systemctl disable --now {' '.join(present)}")
    ):
        return False
    for target in FILES.values():
        if line := _remove_one(_below(prefix, target), dry_run=options.dry_run):
            output.progress(line)
    if options.dry_run:
        output.done("nothing was removed")
        return True
    _remove_folder(_below(prefix, OWN_FOLDER))
    if acts and not _tell_systemd(output, "systemctl daemon-reload"):
        return False
    output.done("uninstalled; the user arenad and /var/lib/arenad are left as they are")
    return True


def _may_write(options: Options, output: Output) -> bool:
    if os.getuid() == 0 or options.prefix or options.dry_run:
        return True
    output.failed("not_permitted", "only root may do this; --dry-run shows what would be done")
    return False


def _install_one(file: File, *, dry_run: bool) -> str:
    """What was, or would be, done."""
    now = standing(file.path)
    if now == "foreign":
        return f"kept {file.path}: it was edited, or is not of our making"
    if now == "installed" and file.path.read_bytes() == file.content:
        return f"{file.path} is there already"
    if dry_run:
        return f"would write {file.path} ({len(file.content)} bytes)"
    _write(file)
    return f"wrote {file.path}"


def _remove_one(path: Path, *, dry_run: bool) -> str:
    now = standing(path)
    if now == "absent":
        return ""
    if now == "foreign":
        return f"kept {path}: it was edited, or is not of our making"
    if dry_run:
        return f"would remove {path}"
    path.unlink()
    return f"removed {path}"


def _remove_folder(folder: Path) -> None:
    """Only an empty one."""
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _tell_systemd(output: Output, *commands: str) -> bool:
    """Run the commands where systemd runs; elsewhere say which they are. True if none failed."""
    for command in commands:
        if not BOOTED.is_dir():
            output.progress(f"systemd does not run here; where it does, run: {command}")
            continue
        output.progress(f"running {command}")
        words = command.split()  # no shell, and constants of this file
        pid = os.posix_spawnp(words[0], words, os.environ)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if code != 0:
            output.failed("failed", f"`{command}` failed with exit code {code}")
            return False
    return True
