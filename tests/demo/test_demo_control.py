"""The control endpoint: what is on for all, in JSON."""

import asyncio
from typing import Any

import pytest
from arena_client import body, create, told
from serving import arena

from arenad.demo.faults import FAULTS
from arenad.demo.variants import VARIANTS


def test_faults_are_set_shown_and_cleared() -> None:
    """A PUT replaces all that was on; the answer has the whole table."""

    async def story() -> None:
        async with arena() as client:
            for wish in ({"cut": 9, "crlf": True}, {"split": None}):
                async with client.put("/demo/faults", json={"faults": wish}) as response:
                    assert response.status == 200
            async with client.get("/demo/faults") as response:
                shown = await response.json()
            assert (shown["faults"], shown["times"]) == ({"split": 1}, None)
            assert [each["name"] for each in shown["table"]] == list(FAULTS)
            async with client.delete("/demo/faults") as response:
                assert (await response.json())["faults"] == {}

    asyncio.run(story())


@pytest.mark.parametrize(
    ("path", "wish", "part"),
    [
        ("faults", {"faults": {"smoke": True}}, "smoke: there are moved"),
        ("faults", {"faults": "cut=x"}, "is no number"),
        ("faults", {"faults": {}, "times": 0}, "times"),
        ("faults", {"fault": {}}, "fault"),
        ("variant", {"variant": "1999"}, "1999: there are demo"),
    ],
)
def test_bad_wishes_are_told(path: str, wish: dict[str, Any], part: str) -> None:
    """With 400, the name at fault, and what there is."""

    async def story() -> None:
        async with arena() as client:
            status, text, _ = await told(client.put(f"/demo/{path}", json=wish))
            assert (status, part in text) == (400, True), text

    asyncio.run(story())


def test_a_variant_is_set_for_all() -> None:
    """Requests that name none speak it; a header still chooses another."""

    async def story() -> None:
        async with arena() as client:
            async with client.put("/demo/variant", json={"variant": "2025-07"}) as response:
                shown = await response.json()
            assert (shown["variant"], list(shown["variants"])) == ("2025-07", list(VARIANTS))
            assert (await told(create(client, body("demo-echo", "x"))))[0] == 404
            assert (await told(client.get("/text/direct")))[0] == 404
            today = {"X-Demo-Variant": "demo"}
            assert (await told(create(client, body("demo-echo", "x"), headers=today)))[0] == 200
            unknown = {"X-Demo-Variant": "1999"}
            assert (await told(client.get("/", headers=unknown)))[0] == 400

    asyncio.run(story())


def test_other_sites_cannot_control() -> None:
    """A page of another origin is refused before anything changes."""

    async def story() -> None:
        async with arena() as client:
            evil = {"Origin": "https://evil.example"}
            reply = client.put("/demo/faults", json={"faults": "block"}, headers=evil)
            assert (await told(reply))[0] == 403
            assert (await told(client.get("/")))[0] == 200

    asyncio.run(story())
