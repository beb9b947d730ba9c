"""Socket activation with really inherited descriptors: a program finds its sockets at 3 and on."""

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from arenad.master.activation import applied, take
from arenad.schema.config import ApiConfig, Config

PROGRAM = """
import json, logging, os, sys
given = [int(word) for word in sys.argv[1].split(",")]
spare = [os.dup2(os.dup(fd), 100 + number) for number, fd in enumerate(given)]
for number, fd in enumerate(spare):
    os.dup2(fd, 3 + number)
os.closerange(3 + len(given), 200)
from arenad.master.activation import take
logging.basicConfig(format="%(message)s")
if os.environ.get("LISTEN_PID") == "me":
    os.environ["LISTEN_PID"] = str(os.getpid())
handed = take(os.environ)
print(json.dumps({
    "handed": {field: each.getsockname()[1] for field, each in handed.items()},
    "inheritable": [each.get_inheritable() for each in handed.values()],
    "blocking": [each.getblocking() for each in handed.values()],
    "open": [fd for fd in range(3, 3 + len(given)) if os.path.exists(f"/proc/self/fd/{fd}")],
    "left": [name for name in os.environ if name.startswith("LISTEN_")],
}))
"""


@contextlib.contextmanager
def listening(host: str = "127.0.0.1") -> Iterator[socket.socket]:
    with socket.create_server((host, 0)) as each:
        yield each


def start_with(sockets: list[Any], **variables: str) -> tuple[dict[str, Any], str]:
    """What a program makes of the sockets it inherits; its report, and what it logged."""
    fds = [each.fileno() for each in sockets]
    names = {"LISTEN_PID": "me", "LISTEN_FDS": str(len(fds)), **variables}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, ",".join(map(str, fds))],
        pass_fds=fds,
        env={**os.environ, **names},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return json.loads(done.stdout), done.stderr


def test_sockets_are_known_by_name_in_any_order():
    """Each goes to its field, closed to children, and the environment says nothing any more."""
    with listening() as gui, listening() as api:
        report, said = start_with([gui, api], LISTEN_FDNAMES="gui:api", LISTEN_PIDFDID="7")
        ports = {"gui.listen": gui.getsockname()[1], "api.listen": api.getsockname()[1]}
    assert report["handed"] == ports
    assert report["inheritable"] == report["blocking"] == [False, False]
    assert report["open"] == [3, 4]
    assert report["left"] == []
    assert not said


def test_what_is_not_ours_is_closed_with_a_warning():
    """Unknown names, a second of the same name, and sockets without a name."""
    with listening() as one, listening() as two, listening() as three, listening() as four:
        sockets = [one, two, three, four]
        report, said = start_with(sockets, LISTEN_FDNAMES="http:api:api")
        assert report["handed"] == {"api.listen": two.getsockname()[1]}
    assert report["open"] == [4]
    assert "the socket called http is passed over: its name is none of api, gui" in said
    assert "the socket called api is passed over: there is another of that name" in said
    assert "the socket called unknown is passed over" in said


def test_only_tcp_sockets_that_listen_will_do(tmp_path):
    """At any address: whom to answer there is decided by keys."""
    with contextlib.ExitStack() as stack:
        open_to_all = stack.enter_context(listening("0.0.0.0"))
        report, said = start_with([open_to_all], LISTEN_FDNAMES="api")
        assert (list(report["handed"]), report["open"]) == (["api.listen"], [3])
        idle = stack.enter_context(socket.socket())
        idle.bind(("127.0.0.1", 0))
        local = stack.enter_context(socket.socket(socket.AF_UNIX))
        local.bind(str(tmp_path / "listener"))
        local.listen()
        report, said = start_with([idle, local], LISTEN_FDNAMES="api:gui")
        assert (report["handed"], report["open"]) == ({}, [])
        assert "the socket called api is passed over: it does not listen" in said
        assert "the socket called gui is passed over: it is no TCP socket" in said


def test_a_file_among_the_sockets_is_passed_over(tmp_path):
    """A descriptor that is no socket at all is said, and the others are used."""
    with listening() as api, (tmp_path / "file").open("w") as file:
        report, said = start_with([file, api], LISTEN_FDNAMES="gui:api")
        assert list(report["handed"]) == ["api.listen"]
    assert "socket 3 (gui) is passed over: " in said


@pytest.mark.parametrize(
    "variables", [{"LISTEN_PID": "1"}, {"LISTEN_PID": ""}, {"LISTEN_FDS": ""}, {"LISTEN_FDS": "x"}]
)
def test_sockets_meant_for_another_are_left_alone(variables):
    """The variables are inherited by programs that are not meant; they go in any case."""
    with listening() as api:
        report, _ = start_with([api], LISTEN_FDNAMES="api", **variables)
    assert (report["handed"], report["open"], report["left"]) == ({}, [3], [])


def test_without_a_manager_there_is_nothing():
    """A daemon in the foreground is given no sockets."""
    environ = {"HOME": "/"}
    assert take(environ) == {}
    assert environ == {"HOME": "/"}


def test_the_address_that_is_listened_at_holds(caplog):
    """What is shown, and what the guard of the dashboard goes by, is the truth."""
    config = Config()
    assert applied(config, {}) == config
    with listening() as api, socket.create_server(("::1", 0), family=socket.AF_INET6) as gui:
        port, gui_port = api.getsockname()[1], gui.getsockname()[1]
        moved = applied(config, {"api.listen": api, "gui.listen": gui})
        assert moved.api.listen == f"127.0.0.1:{port}"
        assert moved.gui.listen == f"[::1]:{gui_port}"
        assert moved.demo == config.demo
        assert f"systemd listens at 127.0.0.1:{port}, which holds" in caplog.text
        caplog.clear()
        named = msgspec.structs.replace(config, api=ApiConfig(listen=f"localhost:{port}"))
        assert applied(named, {"api.listen": api}) == named
        assert not caplog.text
