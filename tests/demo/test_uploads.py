"""Files over real HTTP: three steps, signed addresses, data URIs, pictures."""

import asyncio
import base64
import hashlib
import json
from io import BytesIO
from typing import Any

import aiohttp
import pytest
from arena_client import body, create, lines, said, switch, tally, told
from serving import arena

from arenad.demo import faults, files, uploads
from arenad.demo.drawing import picture

CONTENT = b"\x00\xffhello\n" * 100


async def _actions(client: aiohttp.ClientSession) -> dict[str, str]:
    """The ids of the upload actions, as the page reads them: out of its build's script."""
    _, html, _ = await told(client.get("/"))
    build = html.partition('data-build="')[2].partition('"')[0]
    _, script, _ = await told(client.get(f"/demo/build/{build}.js"))
    return json.loads(script.removeprefix("export const actions = ").removesuffix(";\n"))


async def _act(client: aiohttp.ClientSession, action: str, *arguments: str) -> dict[str, Any]:
    headers = {"Next-Action": action, "Accept": "text/x-component"}
    reply = client.post("/text/direct", data=json.dumps(arguments), headers=headers)
    status, text, got = await told(reply)
    assert (status, got["Content-Type"]) == (200, "text/x-component; charset=utf-8"), text
    return json.loads(text.splitlines()[1].removeprefix("1:"))["data"]


async def _uploaded(client: aiohttp.ClientSession, content: bytes, name: str) -> dict[str, str]:
    """An attachment, after all three steps."""
    actions = await _actions(client)
    begun = await _act(client, actions["generateUploadUrl"], name, "image/png")
    async with client.put(begun["uploadUrl"], data=content) as response:
        assert response.status == 200
    signed = await _act(client, actions["getSignedUrl"], begun["key"])
    return {"name": begun["key"], "contentType": "image/png", "url": signed["url"]}


def _with(
    *attachments: dict[str, str], model: str = "demo-files", more: str = ""
) -> dict[str, Any]:
    said_ = {"content": f"what is this?{more}", "experimental_attachments": list(attachments)}
    return body(model, "", userMessage=said_)


def _data_uri(content: bytes) -> dict[str, str]:
    encoded = base64.b64encode(content).decode()
    return {"name": "a.bin", "contentType": "a/b", "url": f"data:a/b;base64,{encoded}"}


def test_an_upload_takes_three_steps() -> None:
    """The model then tells name, type, size and hash of the very bytes."""

    async def story() -> None:
        async with arena() as client:
            attachment = await _uploaded(client, CONTENT, "bild ü.png")
            heard = json.loads(said(await lines(create(client, _with(attachment)))))
            assert heard == {
                "name": "bild ü.png",
                "type": "image/png",
                "bytes": len(CONTENT),
                "sha256": hashlib.sha256(CONTENT).hexdigest(),
            }
            async with client.get(attachment["url"]) as response:
                assert await response.read() == CONTENT
                assert "sandbox" in response.headers["Content-Security-Policy"]

    asyncio.run(story())


def test_a_new_build_has_new_actions() -> None:
    """A page of the build before gets 404, as the framework answers it."""

    async def story() -> None:
        async with arena() as client:
            old = await _actions(client)
            async with client.post("/demo/build") as response:
                assert response.status == 200
            assert set(old.values()).isdisjoint((await _actions(client)).values())
            headers = {"Next-Action": old["generateUploadUrl"]}
            reply = client.post("/", data='["a","b/c"]', headers=headers)
            status, text, got = await told(reply)
            assert (status, got["x-nextjs-action-not-found"]) == (404, "1")
            assert "Server action not found" in text
            assert (await tally(client))["stale_actions"] == 1

    asyncio.run(story())


def test_an_action_can_be_stale_at_once() -> None:
    """By a fault, whatever the build."""

    async def story() -> None:
        async with arena() as client:
            headers = {"Next-Action": (await _actions(client))["generateUploadUrl"]}
            await switch(client, "stale-action")
            reply = client.post("/", data='["a","b/c"]', headers=headers)
            assert (await told(reply))[0] == 404

    asyncio.run(story())


def test_bad_calls_of_an_action_are_told() -> None:
    """Without the header it is a wrong verb; with wrong arguments, a bad body."""

    async def story() -> None:
        async with arena() as client:
            assert (await told(client.post("/", data="[]")))[0] == 405
            headers = {"Next-Action": (await _actions(client))["generateUploadUrl"]}
            for bad in ("{", '["a"]', '["a",""]', '["a","b/c\\r\\nX: y"]', '["a","text"]'):
                assert (await told(client.post("/", data=bad, headers=headers)))[0] == 400

    asyncio.run(story())


def test_signed_addresses_expire() -> None:
    """The storage refuses them with 403, and so does a message that names one."""

    async def story() -> None:
        async with arena() as client:
            await switch(client, "url-life=0")
            actions = await _actions(client)
            begun = await _act(client, actions["generateUploadUrl"], "a", "b/c")
            assert (await told(client.put(begun["uploadUrl"], data=b"x")))[0] == 403
            async with client.delete("/demo/faults"):
                pass
            good = await _uploaded(client, CONTENT, "a")
            await switch(client, "url-life=0")
            stale = await _act(client, actions["getSignedUrl"], good["name"])
            status, text, _ = await told(client.get(stale["url"]))
            assert (status, "expired" in text) == (403, True)
            assert (await told(create(client, _with(good | stale))))[0] == 403
            assert (await told(create(client, _with(good))))[0] == 200

    asyncio.run(story())


def test_what_was_never_uploaded_is_not_there() -> None:
    """Its address is good, but there is nothing behind it."""

    async def story() -> None:
        async with arena() as client:
            actions = await _actions(client)
            begun = await _act(client, actions["generateUploadUrl"], "a", "b/c")
            signed = await _act(client, actions["getSignedUrl"], begun["key"])
            assert (await told(client.get(signed["url"])))[0] == 404

    asyncio.run(story())


def test_the_storage_may_refuse() -> None:
    """By a fault, and above its limit."""

    async def story() -> None:
        async with arena() as client:
            actions = await _actions(client)
            begun = await _act(client, actions["generateUploadUrl"], "a", "b/c")
            large = BytesIO(bytes(files.FILE_LIMIT_BYTES + 1))
            assert (await told(client.put(begun["uploadUrl"], data=large)))[0] == 413
            await switch(client, "upload-refused")
            assert (await told(client.put(begun["uploadUrl"], data=b"x")))[0] == 403

    asyncio.run(story())


def test_a_data_uri_comes_within_the_body() -> None:
    """Up to its limit; beyond it is 413."""

    async def story() -> None:
        async with arena() as client:
            heard = json.loads(said(await lines(create(client, _with(_data_uri(CONTENT))))))
            assert (heard["bytes"], heard["name"]) == (len(CONTENT), "a.bin")
            large = _data_uri(bytes(uploads.INLINE_LIMIT_BYTES + 1))
            assert (await told(create(client, _with(large))))[0] == 413

    asyncio.run(story())


@pytest.mark.parametrize(
    ("url", "model", "told_"),
    [
        ("https://elsewhere.example/a.png", "demo-files", "is not of this storage"),
        ("data:text/plain,plain", "demo-files", "is no data URI in base64"),
        ("data:a/b;base64,QQ=Q", "demo-files", "a: "),
        ("data:a/b;base64,QUJD", "demo-echo", "this model takes none"),
    ],
)
def test_bad_attachments_are_told(url: str, model: str, told_: str) -> None:
    """Foreign addresses, broken data, a model without eyes."""

    async def story() -> None:
        async with arena() as client:
            attachment = {"name": "a", "contentType": "a/b", "url": url}
            status, text, _ = await told(create(client, _with(attachment, model=model)))
            assert (status, told_ in text) == (400, True), text

    asyncio.run(story())


@pytest.mark.parametrize(("more", "count"), [("", 1), (" [[demo:two-images]]", 2)])
def test_pictures_come_by_signed_addresses(more: str, count: int) -> None:
    """A heartbeat, one line with the pictures, the end; each address gives a PNG."""

    async def story() -> None:
        async with arena() as client:
            wish = body("demo-image", f"a house{more}", modality="image")
            got = await lines(create(client, wish))
            assert [code for code, _ in got] == ["af", "a2", "a2", "ad"]
            items = got[2][1]
            assert len(items) == count
            for place, item in enumerate(items):
                assert (item["type"], item["mimeType"]) == ("image", "image/png")
                async with client.get(item["image"]) as response:
                    assert response.content_type == "image/png"
                    words = f"a house\n{place}" if place else "a house"
                    assert await response.read() == picture(words)
            async with client.get(f"/api/evaluation/{wish['id']}") as response:
                answer = (await response.json())["messages"][-1]
            assert answer["status"] == "success"
            kept = [each["url"] for each in answer["experimental_attachments"]]
            assert kept == [item["image"] for item in items]

    asyncio.run(story())


def test_a_picture_expires() -> None:
    """As any address of the storage does."""

    async def story() -> None:
        async with arena() as client:
            got = await lines(create(client, body("demo-image", "x [[demo:url-life=0]]")))
            assert (await told(client.get(got[2][1][0]["image"])))[0] == 403

    asyncio.run(story())


def test_every_fault_of_files_is_tried_here() -> None:
    """A new row of the table needs its story."""
    named = {each.name for each in faults.FAULTS.values() if each.stage == "file"}
    assert named == {"url-life", "stale-action", "upload-refused"}
