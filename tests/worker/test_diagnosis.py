"""What a browser's processes tell, as conversations: suspected once, certain the second time."""

import pytest

from arenad.worker.diagnosis import MISSING_LOOKS, Part, Suspicion, kind_of, look

WELL = (Part(1, "", False), Part(2, "network", False), Part(3, "renderer", False))


def stopped(pid: int) -> tuple[Part, ...]:
    return tuple(Part(each.pid, each.kind, each.pid == pid) for each in WELL)


def test_a_well_browser_is_not_suspected():
    """Look after look."""
    suspicion, reason = look(Suspicion(), WELL)
    assert (suspicion.is_open, reason) == (False, "")
    assert look(suspicion, WELL) == (suspicion, "")


@pytest.mark.parametrize(
    ("pid", "said"), [(1, "main process"), (2, "network process"), (3, "renderer process")]
)
def test_what_is_stopped_twice_is_stopped(pid: int, said: str):
    """The first look may have met it in the middle of a stop and a go."""
    suspicion, reason = look(Suspicion(), stopped(pid))
    assert (suspicion.is_open, reason) == (True, "")
    assert look(suspicion, WELL)[0].is_open is False
    assert look(suspicion, stopped(pid))[1] == f"the browser's {said} is stopped"


def test_another_one_that_stops_is_suspected_anew():
    """Two stops of two processes are no certainty about either."""
    suspicion, _ = look(Suspicion(), stopped(2))
    assert look(suspicion, stopped(3))[1] == ""


def test_a_network_process_may_come_back():
    """The browser starts another one; only when it does not is the instance broken."""
    suspicion, _ = look(Suspicion(), WELL)
    without = [part for part in WELL if part.kind != "network"]
    for _ in range(MISSING_LOOKS - 1):
        suspicion, reason = look(suspicion, without)
        assert (suspicion.is_open, reason) == (True, "")
    assert look(suspicion, WELL)[0].is_open is False
    assert (
        look(suspicion, without)[1]
        == "the browser's network process is gone and does not come back"
    )


def test_a_browser_that_never_had_a_network_process_misses_none():
    """It may do that work in its main process."""
    suspicion = Suspicion()
    for _ in range(2 * MISSING_LOOKS):
        suspicion, reason = look(suspicion, [Part(1, "", False)])
        assert (suspicion.is_open, reason) == (False, "")


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("chrome --headless", ""),
        ("chrome --type=renderer --lang=en", "renderer"),
        ("chrome --type=utility --utility-sub-type=network.mojom.NetworkService", "network"),
        ("chrome --type=utility --utility-sub-type=storage.mojom.StorageService", "utility"),
        ("firefox-esr --headless --profile /tmp/x", ""),
        (
            "firefox-esr -contentproc -isForBrowser -prefsHandle 0:2 -appDir /usr/lib 2 tab",
            "renderer",
        ),
        ("firefox-esr -contentproc -ipcHandle 4 1 socket", "socket"),
    ],
)
def test_kinds_are_read_off_the_command_line(line: str, kind: str):
    """The main process has none."""
    assert kind_of(line.split()) == kind
