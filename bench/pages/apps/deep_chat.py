"""A static page with the npm package `deep-chat`, and a route that passes its requests on."""

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import ask

BUNDLE = Path(sys.argv[1])
PAGE = """<!doctype html><meta charset="utf-8"><title>Chat</title>
<script type="module" src="/deepChat.bundle.js"></script>
<deep-chat connect='{"url": "/chat", "stream": true}' style="height: 90vh"></deep-chat>"""


class Site(BaseHTTPRequestHandler):
    """The page, its script, and its answers."""

    protocol_version = "HTTP/1.0"

    def do_GET(self) -> None:
        """The page or its script."""
        is_script = self.path.endswith(".js")
        body = BUNDLE.read_bytes() if is_script else PAGE.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/javascript" if is_script else "text/html")
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        """An answer as server-sent events of the form that deep-chat reads."""
        wish = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for piece in ask.answer(wish["messages"][-1]["text"]):
            self.wfile.write(b"data: " + json.dumps({"text": piece}).encode() + b"\n\n")
            self.wfile.flush()


ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Site).serve_forever()
