"""Each connection that the site sees from a session, held against those that its proxy made."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path

import pytest
from proxies import PASSWORD, USER, Seen, gate_before, http_proxy, socks_proxy
from real_browser import ENOUGH_S, serving_demo, tell, until
from whole_worker import Master, whole_worker

from arenad import link
from arenad.errors import RequestError
from arenad.schema.chat import Chat, Event, Finish, Image, TextDelta, Turn
from arenad.schema.config import EgressConfig, ProxyConfig
from arenad.schema.process import Beat, Proxy, Ready, Renew, SessionIs, Stop

pytestmark = pytest.mark.usefixtures("own_logging")


async def _chat(frontend: link.Link, model: str) -> list[Event]:
    """All that an answer brings, its images as data."""
    turn = Turn(role="user", text="a boat")
    wish = Chat("r", model, (turn,), ENOUGH_S, ENOUGH_S, ENOUGH_S, image_bytes=1_000_000)
    stream, brought = frontend.stream(wish), list[Event]()
    while not stream.ended:
        brought.append(await stream.receive(ENOUGH_S))  # pyright: ignore[reportArgumentType] - of a chat
    return brought


async def _answers_and_draws(frontend: link.Link) -> None:
    said = await _chat(frontend, "demo-echo")
    assert "".join(each.text for each in said if isinstance(each, TextDelta)) == "a boat"
    *brought, end = await _chat(frontend, "demo-image")
    images = [each.url for each in brought if isinstance(each, Image)]
    assert [each.partition(",")[0] for each in images] == ["data:image/png;base64"]
    assert end == Finish("stop")


def _sessions(master: Master) -> int:
    return max((note.sessions for note in master.heard if isinstance(note, Beat)), default=0)


def _aways(master: Master) -> int:
    return sum(isinstance(note, SessionIs) and note.condition == "away" for note in master.heard)


def secret_socks_proxy() -> AbstractAsyncContextManager[Seen]:
    """SOCKS5 that wants credentials."""
    return socks_proxy(PASSWORD)


@pytest.mark.parametrize("make", [http_proxy, socks_proxy, secret_socks_proxy])
def test_no_connection_comes_by_another_way(
    tmp_path: Path, make: Callable[[], AbstractAsyncContextManager[Seen]]
) -> None:
    """While it opens, chats, brings an image, begins anew, and when its proxy has died."""

    async def story() -> None:
        async with serving_demo() as arena, gate_before(arena) as gate, make() as seen:
            user = "" if make is socks_proxy else USER
            proxy = Proxy(name="lisbon", url=seen.url, user=user, password=PASSWORD if user else "")
            rules = EgressConfig(proxies={"lisbon": ProxyConfig(url=seen.url)})
            given = {"egress": rules, "proxies": (proxy,)}
            before = 0

            def has_come_through() -> None:
                nonlocal before
                assert set(gate.ports) <= seen.own_ports
                assert len(gate.ports) > before
                before = len(gate.ports)

            async with whole_worker(tmp_path, f"{gate.url}/", **given) as (master, _life):
                await master.hear(Ready)
                has_come_through()
                frontend = await link.connect(str(master.socket_path), "w1", ENOUGH_S)
                await _answers_and_draws(frontend)
                assert set(gate.ports) <= seen.own_ports
                before = len(gate.ports)
                master.worker.note(Renew())
                await until(lambda: _sessions(master) == 2)
                await until(lambda: master.last_condition().condition == "ready")
                has_come_through()
                seen.die()
                before = len(gate.ports)
                with suppress(RequestError):
                    await _chat(frontend, "demo-echo")
                await until(lambda: _aways(master) == 3)
                assert len(gate.ports) == before
                seen.is_down = False
                await until(lambda: master.last_condition().condition == "ready")
                has_come_through()
                frontend.close()
                master.worker.note(Stop())
            assert set(gate.ports) <= seen.own_ports

    tell(story())
