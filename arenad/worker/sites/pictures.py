"""The images of an answer: their whole addresses, and their bytes where those are wanted.

Bytes are brought by the page's own browser, with the site's cookies.
"""

import asyncio
import base64
import json
import logging
import re

from arenad import media
from arenad.schema.chat import Event, Image
from arenad.worker.page_port import BrowserError, BrowserGone, PagePort
from arenad.worker.sites.telling import Emit

BRING_S = 20.0
SHOW_S = 3.0
"""Where the page may not fetch it (its content policy), it still shows it, after a moment."""

_WHOLE = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)

log = logging.getLogger("arenad.pictures")


def bringing(page: PagePort, emit: Emit, most_bytes: int) -> Emit:
    """The same, with whole addresses for images; with data URLs if bytes are wanted.

    An image that cannot be had keeps the site's address.
    """

    async def brought(event: Event) -> None:
        await emit(await _brought(page, event, most_bytes) if isinstance(event, Image) else event)

    return brought


async def _brought(page: PagePort, image: Image, most_bytes: int) -> Image:
    url = image.url if _WHOLE.match(image.url) else await _whole(page, image.url)
    if most_bytes and not url.startswith("data:"):
        content = await _content(page, url, most_bytes)
        if kind := media.type_of_image(content):
            url = f"data:{kind};base64,{base64.b64encode(content).decode()}"
    return Image(url, image.side)


async def _whole(page: PagePort, url: str) -> str:
    """The address with the page's own before it; as the site told it, where that makes none."""
    try:
        return str(await page.evaluate(f"new URL({json.dumps(url)}, document.baseURI).href"))
    except BrowserGone:
        raise
    except BrowserError as error:
        log.warning("the address of an answer's image is passed on as it is: %s", error)
        return url


async def _content(page: PagePort, url: str, most_bytes: int) -> bytes:
    """An image that browsers show, up to this size; empty when it cannot be had.

    The answer around it is not read meanwhile, which must not hold back the image itself.
    """
    content, why = b"", "is no image"
    try:
        with page.unheld():
            async with asyncio.timeout(BRING_S):
                content = await page.loaded(url, most_bytes, BRING_S) or await _shown(page, url)
    except BrowserGone:
        raise
    except (BrowserError, TimeoutError) as error:
        why = str(error) or f"did not come within {BRING_S:g} s"
    if len(content) > most_bytes:
        why = f"is larger than {most_bytes} bytes"
    elif media.type_of_image(content):
        return content
    log.warning("an image of an answer %s; its address is passed on", why)
    return b""


async def _shown(page: PagePort, url: str) -> bytes:
    """What the page itself shows, once it does."""
    asked = f"arenad.shows({json.dumps(url)}, {int(SHOW_S * 1000)})"
    if not await page.evaluate(asked, SHOW_S + 5.0):
        return b""
    return await page.shown_image(url)
