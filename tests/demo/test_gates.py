"""What stands before pages and messages, over real HTTP, with a person's clicks as requests."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from arena_client import body, create, lines, said, switch, tally, told, two_sided
from serving import arena

from arenad.demo import accounts, faults


@asynccontextmanager
async def _visitor(
    site: aiohttp.ClientSession, **more: object
) -> AsyncIterator[aiohttp.ClientSession]:
    """Another client of the same site, with cookies of its own, as a browser keeps them."""
    jar = aiohttp.CookieJar(unsafe=True)  # the host is an address
    async with aiohttp.ClientSession(site._base_url, cookie_jar=jar, **more) as client:
        yield client


def test_the_edge_checks_once() -> None:
    """403 with its page on everything, until a click; then pages and messages are there."""

    async def story() -> None:
        async with arena() as site, _visitor(site) as client:
            await switch(client, "challenge")
            status, text, headers = await told(client.get("/text/direct"))
            assert (status, headers["Content-Type"]) == (403, "text/html; charset=utf-8")
            for sign in (
                "Just a moment",
                "_cf_chl_opt",
                "cdn-cgi/challenge-platform",
                "JavaScript",
            ):
                assert sign in text
            assert "sha256-" in headers["Content-Security-Policy"]
            assert (await told(create(client, body("demo-echo", "x"))))[0] == 403
            async with client.post("/cdn-cgi/challenge-platform/clear") as response:
                assert response.status == 204
            assert (await told(client.get("/text/direct")))[0] == 200
            assert said(await lines(create(client, body("demo-echo", "x")))) == "x"
            async with _visitor(site) as other:
                assert (await told(other.get("/")))[0] == 403
            counted = await tally(client)
            assert (counted["challenged"], counted["challenges_cleared"]) == (3, 1)

    asyncio.run(story())


def test_a_clearance_ends() -> None:
    """After the value's seconds the check is there again."""

    async def story() -> None:
        async with arena() as site, _visitor(site) as client:
            await switch(client, "challenge=0")
            async with client.post("/cdn-cgi/challenge-platform/clear") as response:
                assert response.status == 204
            assert (await told(client.get("/")))[0] == 403

    asyncio.run(story())


def test_a_block_has_no_way_through() -> None:
    """Its page has the title and the words of the CDN; the control endpoint stays reachable."""

    async def story() -> None:
        async with arena() as client:
            await switch(client, "block")
            status, text, _ = await told(client.get("/"))
            assert status == 403
            assert "<title>Attention Required! | Cloudflare</title>" in text
            assert "Sorry, you have been blocked" in text
            async with client.delete("/demo/faults") as response:
                assert response.status == 200
            assert (await told(client.get("/")))[0] == 200

    asyncio.run(story())


def test_a_login_opens_the_wall() -> None:
    """Pages lead to a form, messages get 401; with the right words both go on, where one was."""

    async def story() -> None:
        async with arena() as site, _visitor(site) as client:
            await switch(client, "login")
            async with client.get("/text/direct?x=1", allow_redirects=False) as response:
                assert response.status == 302
                where = response.headers["Location"]
            assert where == "/login?next=/text/direct%3Fx%3D1"
            assert (await told(create(client, body("demo-echo", "x"))))[0] == 401
            status, text, _ = await told(client.post(where, data={"name": "demo", "password": "x"}))
            assert (status, "wrong" in text) == (401, True)
            right = {"name": accounts.NAME, "password": accounts.PASSWORD}
            async with client.post(where, data=right, allow_redirects=False) as response:
                assert (response.status, response.headers["Location"]) == (303, "/text/direct?x=1")
                assert response.cookies[accounts.AUTH].value.startswith("base64-")
            assert (await told(client.get("/text/direct")))[0] == 200
            assert said(await lines(create(client, body("demo-echo", "x")))) == "x"
            async with client.get("/api/me") as response:
                assert (await response.json())["isLoggedIn"] is True
            async with client.post("/logout") as response:
                assert str(response.url).endswith("/login")
            assert (await told(create(client, body("demo-echo", "x"))))[0] == 401

    asyncio.run(story())


def test_battles_need_no_login() -> None:
    """Neither their page nor their messages."""

    async def story() -> None:
        async with arena() as client:
            await switch(client, "login")
            assert (await told(client.get("/text/battle", allow_redirects=False)))[0] == 200
            await lines(create(client, two_sided("battle", "hi")))

    asyncio.run(story())


def test_a_session_expires_in_the_middle() -> None:
    """One message is refused, and the login is gone until the next one."""

    async def story() -> None:
        async with arena() as site, _visitor(site) as client:
            await switch(client, "login")
            right = {"name": "demo", "password": "demo"}
            async with client.post("/login", data=right) as response:
                assert response.status == 200
            await lines(create(client, body("demo-echo", "x")))
            wish = body("demo-echo", "x [[demo:401-expired]]")
            assert (await told(create(client, wish)))[0] == 401
            assert (await told(create(client, body("demo-echo", "x"))))[0] == 401

    asyncio.run(story())


def test_a_login_never_leads_away() -> None:
    """Whatever the address says, the way back is a path of this site."""

    async def story() -> None:
        async with arena() as client:
            right = {"name": "demo", "password": "demo"}
            for next_ in ("https://evil.example/", "//evil.example/", "/\\evil.example"):
                reply = client.post(
                    "/login", params={"next": next_}, data=right, allow_redirects=False
                )
                async with reply as response:
                    assert response.headers["Location"] == "/"

    asyncio.run(story())


def test_the_limit_is_real() -> None:
    """So many messages in a window, counted down in headers, then 429 with a true wait."""

    async def story() -> None:
        async with arena() as client:
            await switch(client, "rate-limit=2")
            for remaining in (1, 0):
                async with create(client, body("demo-echo", "x")) as response:
                    assert response.status == 200
                    told_ = response.headers["ratelimit"]
                    assert told_.startswith(f"limit=2, remaining={remaining}, reset=")
                    assert response.headers["ratelimit-policy"] == "2;w=10"
            status, text, headers = await told(create(client, body("demo-echo", "x")))
            assert (status, "rate limit" in text) == (429, True)
            assert 1 <= int(headers["Retry-After"]) <= 11
            assert "remaining=0" in headers["ratelimit"]
            assert (await told(client.get("/")))[0] == 200

    asyncio.run(story())


def test_the_site_has_moved() -> None:
    """Any other name is sent to `localhost`: by 301, or by 308 where a body would be lost."""

    async def story() -> None:
        async with arena() as client:
            await switch(client, "moved")
            async with client.get("/text/direct?x=1", allow_redirects=False) as response:
                assert response.status == 301
                port = response.url.port
                assert response.headers["Location"] == f"http://localhost:{port}/text/direct?x=1"
            wish = json.dumps(body("demo-echo", "x"))
            path = "/nextjs-api/stream/create-evaluation"
            async with client.post(path, data=wish, allow_redirects=False) as response:
                assert response.status == 308
            there = {"Host": f"localhost:{port}"}
            assert (await told(client.get("/text/direct", headers=there)))[0] == 200

    asyncio.run(story())


def test_the_terms_are_agreed_to_once() -> None:
    """Messages are refused until then; the visitor's cookie remembers it."""

    async def story() -> None:
        async with arena() as site, _visitor(site) as client:
            await switch(client, "403-terms")
            assert (await told(client.get("/")))[0] == 200
            assert (await told(create(client, body("demo-echo", "x"))))[0] == 403
            async with client.post("/api/me/update-tou-consent") as response:
                assert response.status == 200
            await lines(create(client, body("demo-echo", "x")))
            async with client.get("/api/me") as response:
                assert (await response.json())["hasAgreed"] is True

    asyncio.run(story())


def test_a_check_in_the_page_is_passed_by_a_click() -> None:
    """It counts for the visitor who clicked."""

    async def story() -> None:
        async with arena() as site, _visitor(site) as client:
            await switch(client, "403-check")
            assert (await told(create(client, body("demo-echo", "x"))))[0] == 403
            async with client.post("/demo/check") as response:
                assert response.status == 204
            await lines(create(client, body("demo-echo", "x")))
            async with _visitor(site) as other:
                assert (await told(create(other, body("demo-echo", "x"))))[0] == 403

    asyncio.run(story())


def test_a_chat_belongs_to_its_visitor() -> None:
    """Somebody else gets 401 with both ids in it, to read and to write."""

    async def story() -> None:
        async with arena() as site, _visitor(site) as one, _visitor(site) as other:
            for client in (one, other):
                assert (await told(client.get("/")))[0] == 200
            wish = body("demo-echo", "x")
            await lines(create(one, wish))
            status, text, _ = await told(other.get(f"/api/evaluation/{wish['id']}"))
            assert status == 401
            assert f"does not have access to evaluation session {wish['id']}" in text
            path = f"/nextjs-api/stream/stop/{wish['id']}/messages/{wish['userMessageId']}"
            assert (await told(other.post(path, data="{}")))[0] == 401
            assert (await told(one.post(path, data="{}")))[0] == 200

    asyncio.run(story())


def test_an_address_sets_faults_for_its_visitor() -> None:
    """Alone, in a cookie that an empty value ends; unknown ones are refused at once."""

    async def story() -> None:
        async with arena() as site, _visitor(site) as client, _visitor(site) as other:
            address = f"/?{faults.QUERY}=429%3D7%2Ccrlf&demo-variant=2026"
            assert 'name="text"' not in (await told(client.get(address)))[1]
            status, _, headers = await told(create(client, body("demo-echo", "x")))
            assert (status, headers["Retry-After"]) == (429, "7")
            assert (await told(create(other, body("demo-echo", "x"))))[0] == 200
            assert 'name="text"' in (await told(other.get("/")))[1]
            assert (await told(client.get(f"/?{faults.QUERY}=&demo-variant=")))[0] == 200
            assert (await told(create(client, body("demo-echo", "x"))))[0] == 200
            assert (await told(client.get(f"/?{faults.QUERY}=smoke")))[0] == 400

    asyncio.run(story())


def test_every_gate_is_tried_here() -> None:
    """A new row of the table needs its story."""
    gates = {each.name for each in faults.FAULTS.values() if each.stage == "gate"}
    assert gates == {"moved", "block", "challenge", "login", "rate-limit"}
