"""The single-tab bridge: a userscript in a tab on the site, and a server that it connects to.

    python -m bench.peers.bridge
    python -m bench.peers.bridge --tab http://127.0.0.1:5105 --server http://127.0.0.1:5102

As LMArenaBridge is built, written anew: one socket to one tab. The server sends a job, the script
makes the site's request itself and sends every piece of the body back as a JSON frame. The tab is a
process of its own, as it is a person's browser; its policy against foreign connections is off, as
it is for a userscript.
"""

import argparse
import asyncio
import json
import uuid

import uvloop
from aiohttp import web

from bench.density.clocks import MODEL_ID, STREAM_PATH
from bench.peers.serving import browser, said, serve, stream

USERSCRIPT = """(() => {
  const perform = async (socket, { request_id, payload }) => {
    const say = (data) => socket.send(JSON.stringify({ request_id, data }));
    try {
      const uuid = () => crypto.randomUUID();
      const body = {
        id: uuid(), mode: "direct", modality: "chat", modelAId: payload.target_model_id,
        userMessageId: uuid(), modelAMessageId: uuid(), userMessage: { content: payload.prompt },
      };
      const asked = { method: "POST", body: JSON.stringify(body) };
      const response = await fetch(payload.path, asked);
      if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
      const reader = response.body.getReader();
      const decoder = new TextDecoder();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        say(decoder.decode(value, { stream: true }));
      }
      say("[DONE]");
    } catch (error) {
      say({ error: String(error) });
    }
  };
  const connect = () => {
    const socket = new WebSocket(SERVER);
    socket.onmessage = (event) => perform(socket, JSON.parse(event.data));
    socket.onclose = () => setTimeout(connect, 5000);
  };
  connect();
})();"""


class Bridge:
    """One socket, and a queue for each request that its tab performs."""

    def __init__(self) -> None:
        """No tab is connected."""
        self._socket: web.WebSocketResponse | None = None
        self._pieces: dict[str, asyncio.Queue[str | None]] = {}

    async def tab(self, request: web.Request) -> web.WebSocketResponse:
        """WS /ws: a second tab replaces the first."""
        self._socket = socket = web.WebSocketResponse(max_msg_size=0)
        await socket.prepare(request)
        async for message in socket:
            told = json.loads(message.data)
            data = told["data"]
            if pieces := self._pieces.get(told["request_id"]):
                is_text = isinstance(data, str) and data != "[DONE]"
                pieces.put_nowait(data if is_text else None)
        return socket

    async def ready(self, request: web.Request) -> web.Response:
        """GET /ready: whether the tab is there."""
        del request
        return web.Response(status=200 if self._socket is not None else 503)

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/chat/completions."""
        wish = await request.json()
        if self._socket is None:
            return web.Response(status=503)
        name = str(uuid.uuid4())
        self._pieces[name] = pieces = asyncio.Queue()
        payload = {"prompt": said(wish), "target_model_id": MODEL_ID, "path": STREAM_PATH}
        await self._socket.send_json({"request_id": name, "payload": payload})
        try:
            return await stream(request, pieces)
        finally:
            del self._pieces[name]


async def live() -> None:
    """Serve until the process is ended."""
    bridge = Bridge()
    chat = web.post("/v1/chat/completions", bridge.chat)
    await serve(chat, web.get("/ws", bridge.tab), web.get("/ready", bridge.ready))


async def open_tab(site: str, server: str) -> None:
    """Be the person's browser until the process is ended."""
    async with browser() as launched:
        context = await launched.new_context(bypass_csp=True)
        page = await context.new_page()
        address = server.replace("http", "ws", 1) + "/ws"
        await page.add_init_script(USERSCRIPT.replace("SERVER", json.dumps(address)))
        await page.goto(site)
        print("open", flush=True)
        await asyncio.Event().wait()


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tab", metavar="SITE")
    parser.add_argument("--server")
    wish = parser.parse_args()
    uvloop.run(open_tab(wish.tab, wish.server) if wish.tab else live())


if __name__ == "__main__":
    main()
