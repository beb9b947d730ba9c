"""A static page with the npm package `@n8n/chat`, and the webhook that it asks."""

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import ask

DIST = Path(sys.argv[1])
PAGE = """<!doctype html><meta charset="utf-8"><title>Chat</title>
<link rel="stylesheet" href="/style.css"><script type="module">
import { createChat } from '/chat.bundle.es.js';
createChat({webhookUrl: '/webhook/chat', mode: 'fullscreen', loadPreviousSession: false,
            enableStreaming: true});
</script><style>html, body { height: 100%; margin: 0 }</style>"""
TYPES = {".js": "text/javascript", ".css": "text/css"}


class Site(BaseHTTPRequestHandler):
    """The page, its files, and its answers."""

    protocol_version = "HTTP/1.0"

    def do_GET(self) -> None:
        """The page, or a file of the package."""
        name = Path(self.path).name
        body = (DIST / name).read_bytes() if Path(name).suffix in TYPES else PAGE.encode()
        self.send_response(200)
        self.send_header("Content-Type", TYPES.get(Path(name).suffix, "text/html"))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        """An answer as lines of JSON, as a workflow of n8n streams it."""
        wish = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self._tell("begin")
        for piece in ask.answer(wish["chatInput"]):
            self._tell("item", content=piece)
        self._tell("end")

    def _tell(self, kind: str, **more: str) -> None:
        value = {"type": kind, **more, "metadata": {"nodeId": "1", "nodeName": "Agent"}}
        self.wfile.write(json.dumps(value).encode() + b"\n")
        self.wfile.flush()


ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Site).serve_forever()
