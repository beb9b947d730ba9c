"""The images of an answer: their whole addresses, and their bytes where those are wanted.

Bytes are brought by the page's own browser, with the site's cookies.
"""

import asyncio
import base64
import json
import logging
import re
from collections.abc import Awaitable, Callable

from arenad import media
from arenad.schema.chat import Event, Image
from arenad.worker.devtools import BrowserGone, DevToolsError, Params
from arenad.worker.page import Page

BRING_S = 20.0
SHOW_S = 3.0
"""Where the page may not fetch it (its content policy), it still shows it, after a moment."""

_WHOLE = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)

READ_BYTES = 1024 * 1024

Emit = Callable[[Event], Awaitable[None]]

log = logging.getLogger("arenad.pictures")


def bringing(page: Page, emit: Emit, most_bytes: int) -> Emit:
    """The same, with whole addresses for images; with data URLs if bytes are wanted.

    An image that cannot be had keeps the site's address.
    """

    async def brought(event: Event) -> None:
        await emit(await _brought(page, event, most_bytes) if isinstance(event, Image) else event)

    return brought


async def _brought(page: Page, image: Image, most_bytes: int) -> Image:
    url = image.url if _WHOLE.match(image.url) else await _whole(page, image.url)
    if most_bytes and not url.startswith("data:"):
        content = await _content(page, url, most_bytes)
        if kind := media.type_of_image(content):
            url = f"data:{kind};base64,{base64.b64encode(content).decode()}"
    return Image(url, image.side)


async def _whole(page: Page, url: str) -> str:
    return str(await page.evaluate(f"new URL({json.dumps(url)}, document.baseURI).href"))


async def _content(page: Page, url: str, most_bytes: int) -> bytes:
    """An image that browsers show, up to this size; empty when it cannot be had."""
    content, why = b"", "is no image"
    try:
        async with asyncio.timeout(BRING_S):
            content = await _loaded(page, url, most_bytes) or await _shown(page, url)
    except BrowserGone:
        raise
    except (DevToolsError, TimeoutError) as error:
        why = str(error) or f"did not come within {BRING_S:g} s"
    if len(content) > most_bytes:
        why = f"is larger than {most_bytes} bytes"
    elif media.type_of_image(content):
        return content
    log.warning("an image of an answer %s; its address is passed on", why)
    return b""


async def _loaded(page: Page, url: str, most_bytes: int) -> bytes:
    """Fetch it as the page's network does; more than the most only where it is too large."""
    asked: Params = {
        "frameId": page.frame,
        "url": url,
        "options": {"disableCache": False, "includeCredentials": True},
    }
    try:
        found = await page.command("Network.loadNetworkResource", asked, timeout_s=BRING_S)
    except BrowserGone:
        raise
    except DevToolsError as error:
        log.debug("the page may not fetch an image: %s", error)
        return b""
    stream = found["resource"].get("stream")
    content = bytearray()
    while stream and len(content) <= most_bytes:
        read = await page.command("IO.read", {"handle": stream, "size": READ_BYTES})
        is_binary = read.get("base64Encoded", False)
        content += base64.b64decode(read["data"]) if is_binary else read["data"].encode()
        if read["eof"]:
            break
    if stream:
        await page.command("IO.close", {"handle": stream})
    return bytes(content)


async def _shown(page: Page, url: str) -> bytes:
    """What the page itself shows, once it does."""
    asked = f"arenad.shows({json.dumps(url)}, {int(SHOW_S * 1000)})"
    if not await page.evaluate(asked, SHOW_S + 5.0):
        return b""
    found = await page.command("Page.getResourceContent", {"frameId": page.frame, "url": url})
    return base64.b64decode(found["content"]) if found["base64Encoded"] else b""
