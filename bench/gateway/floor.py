"""A bare aiohttp server that passes each chat on to an upstream, and its answer back: the floor."""

import sys

import aiohttp
import uvloop
from aiohttp import web

from bench.peers.serving import serve


class Floor:
    """Passes on."""

    def __init__(self, upstream_url: str) -> None:
        """Nothing is asked yet."""
        self._url = f"{upstream_url}/v1/chat/completions"
        self._client: aiohttp.ClientSession | None = None

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/chat/completions."""
        if self._client is None:
            connector = aiohttp.TCPConnector(limit=0)
            self._client = aiohttp.ClientSession(connector=connector)
        async with self._client.post(self._url, data=await request.read()) as answer:
            response = web.StreamResponse(status=answer.status)
            response.content_type = answer.content_type
            await response.prepare(request)
            async for piece in answer.content.iter_any():
                await response.write(piece)
        return response


if __name__ == "__main__":
    uvloop.run(serve(web.post("/v1/chat/completions", Floor(sys.argv[1]).chat)))
