"""The listening sockets: opened as wanted, moved without a gap, refused without a trace."""

import resource
import socket
import stat
from pathlib import Path

import pytest
from small_daemon import free_ports

from arenad.errors import ConfigError
from arenad.master.listeners import Listeners
from arenad.master.settings import Settings
from arenad.schema.config import ApiConfig, Config, DemoConfig, GuiConfig, SiteConfig


def settings(api: int, gui: int, demo: int, url: str = "") -> Settings:
    return Settings(
        Config(
            api=ApiConfig(listen=f"127.0.0.1:{api}"),
            gui=GuiConfig(listen=f"127.0.0.1:{gui}"),
            demo=DemoConfig(listen=f"127.0.0.1:{demo}"),
            site=SiteConfig(url=url),
        )
    )


def ports(sockets) -> list[int]:
    return [each.getsockname()[1] for each in sockets]


def takes(port: int) -> bool:
    with socket.socket() as end:
        return end.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def opened():
    """Listeners that are closed afterwards."""
    made = Listeners({})
    yield made
    for each in made.open.values():
        each.socket.close()


def test_each_role_has_its_own_in_order(opened: Listeners):
    """The frontends have API and dashboard, the arena its own; workers have none."""
    api, gui, demo = free_ports(3)
    opened.follow(settings(api, gui, demo))
    assert ports(opened.of("frontend")) == [api, gui]
    assert ports(opened.of("demo")) == [demo]
    assert opened.of("worker") == ()
    assert takes(api)


def test_what_stays_stays_open_and_what_moves_moves(opened: Listeners):
    """A connection that waits in a socket which stays is not lost; the old address is closed."""
    api, gui, demo, other = free_ports(4)
    opened.follow(settings(api, gui, demo))
    kept = opened.of("frontend")[0]
    opened.follow(settings(api, other, demo))
    assert opened.of("frontend")[0] is kept
    assert ports(opened.of("frontend")) == [api, other]
    assert takes(other)
    assert not takes(gui)


def test_a_role_that_goes_takes_its_socket_along(opened: Listeners):
    """With another site there is no arena, so nobody listens for it."""
    api, gui, demo = free_ports(3)
    opened.follow(settings(api, gui, demo))
    opened.follow(settings(api, gui, demo, url="http://127.0.0.1:9/"))
    assert opened.of("demo") == ()
    assert not takes(demo)


def test_an_address_that_cannot_be_had_changes_nothing(opened: Listeners):
    """Each is named, and the other new ones are let go of again."""
    api, gui, demo, other = free_ports(4)
    opened.follow(settings(api, gui, demo))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError) as caught:
            opened.follow(settings(other, port, demo))
    (fault,) = caught.value.faults
    assert fault.startswith(
        f"gui.listen: cannot listen at 127.0.0.1:{port}: Address already in use"
    )
    assert ports(opened.of("frontend")) == [api, gui]
    assert not takes(other)


def test_without_descriptors_every_address_is_named(opened: Listeners):
    """A reload at such a moment is refused like any other; nobody falls over it."""
    made = settings(*free_ports(3))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(ConfigError) as caught:
            opened.follow(made)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert [fault.partition(":")[0] for fault in caught.value.faults] == [
        "api.listen", "gui.listen", "demo.listen"
    ]  # fmt: skip
    assert opened.open == {}


def test_a_given_one_holds():
    """Whatever the configuration says, the service manager's socket is the one."""
    with socket.create_server(("127.0.0.1", 0)) as given:
        api, gui, demo = free_ports(3)
        made = Listeners({"api.listen": given})
        made.follow(settings(api, gui, demo))
        assert made.of("frontend")[0] is given
        assert {field for field, each in made.kept.items() if each.is_given} == {"api.listen"}
        for each in made.open.values():
            each.socket.close()


def test_they_go_on_in_another_program():
    """By their numbers alone, as after execve(2); what was given is still known as given."""
    with socket.create_server(("127.0.0.1", 0)) as given:
        api, gui, demo = free_ports(3)
        made = Listeners({"gui.listen": given})
        made.follow(settings(api, gui, demo))
        kept = made.kept
        for each in (*made.of("frontend"), *made.of("demo")):
            each.detach()
        again = Listeners.resumed(kept)
        again.follow(settings(api, gui, demo))
        assert again.kept == kept
        assert takes(api)
        for each in again.open.values():
            each.socket.close()


def test_the_recorders_socket_is_the_childrens_alone(opened: Listeners, tmp_path: Path):
    """It is opened once, and neither a reload nor another program in our place opens it anew."""
    api, gui, demo = free_ports(3)
    made = settings(api, gui, demo)
    made.runtime = tmp_path
    opened.open_recorder(made)
    (listener,) = opened.of("recorder")
    status = made.recorder_socket.stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid) == (0o600, made.user[0])
    opened.follow(made)
    opened.open_recorder(made)
    assert opened.of("recorder") == (listener,)
    resumed = Listeners.resumed(opened.kept)
    assert resumed.of("recorder")[0].fileno() == listener.fileno()
    for each in resumed.open.values():
        each.socket.detach()


def test_without_a_history_there_is_no_socket(opened: Listeners, tmp_path: Path):
    """Nor a file where it would be; one that cannot be made is a fault."""
    made = settings(*free_ports(3))
    made.runtime = tmp_path / "nowhere"
    made.history_fault = "no folder"
    opened.open_recorder(made)
    assert opened.of("recorder") == ()
    made.history_fault = ""
    with pytest.raises(ConfigError, match=r"cannot listen at .*nowhere/recorder\.sock"):
        opened.open_recorder(made)
