"""A site whose page first reports all that a browser still knows of earlier visits, then leaves its own marks.

GET /reports gives what the visits found, by their numbers; /news counts how often it was asked for
what every cache may keep.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any

PAGE = """<!doctype html><title>nosy</title>
<form><textarea aria-label="Message"></textarea><button>Send</button></form><p id="answer"></p>
<script>
const visit = "VISIT";
const store = () => new Promise((done, failed) => {
    const opening = indexedDB.open("marks", 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore("marks");
    opening.onsuccess = () => done(opening.result);
    opening.onerror = failed;
});
const asked = (request) => new Promise((done, failed) => {
    request.onsuccess = () => done(request.result);
    request.onerror = failed;
});
const marks = async () => {
    const database = await store();
    const reading = database.transaction("marks").objectStore("marks").getAll();
    const found = {
        cookie: document.cookie,
        local: {...localStorage},
        session: {...sessionStorage},
        database: await asked(reading),
        caches: await caches.keys(),
        workers: (await navigator.serviceWorker.getRegistrations()).map((each) => each.scope),
        cached: await (await fetch("/news")).text(),
    };
    database.close();
    return found;
};
const leave = async () => {
    document.cookie = `mark=${visit}; max-age=3600`;
    localStorage.mark = sessionStorage.mark = visit;
    const database = await store();
    await asked(database.transaction("marks", "readwrite").objectStore("marks").put(visit, "mark"));
    database.close();
    await (await caches.open(visit)).put("/kept", new Response(visit));
    await navigator.serviceWorker.register("/worker.js");
    await navigator.serviceWorker.ready;
};
const report = async (when) => fetch(`/report/${visit}/${when}`, {
    method: "POST", body: JSON.stringify(await marks()),
});
(async () => {
    await report("before");
    await leave();
    await report("after");
    document.querySelector("textarea").id = "prompt";
})();
document.querySelector("form").onsubmit = async (event) => {
    event.preventDefault();
    document.querySelector("textarea").value = "";
    await fetch("/answer", {method: "POST"});
};
</script>"""
PROFILE = """about: a nosy site
landmarks: {prompt: '#prompt', send: button}
models: {names: [nosy]}
stream: {url_pattern: /answer$, grammar: sse, answer: {text: t, finish: end}}
"""
ANSWER = 'data: {"t":"well"}\n\ndata: {"end":"stop"}\n\n'


class NosySite:
    """What its visits found."""

    def __init__(self) -> None:
        self.url = ""
        self.reports: dict[str, dict[str, Any]] = {}
        self._visits = count(1)
        self._news = count(1)

    def answer(self, method: str, path: str, body: bytes) -> tuple[str, str]:
        """A type, and a text."""
        match method, path.strip("/").split("/"):
            case "GET", [""]:
                return "text/html", PAGE.replace("VISIT", f"visit-{next(self._visits)}")
            case "GET", ["worker.js"]:
                return "text/javascript", "self.onactivate = () => self.clients.claim();"
            case "GET", ["news"]:
                return "text/plain", f"news {next(self._news)}"
            case "POST", ["answer"]:
                return "text/event-stream", ANSWER
            case "POST", ["report", visit, when]:
                self.reports.setdefault(visit, {})[when] = json.loads(body)
                return "text/plain", ""
            case _:
                return "text/plain", "nothing"


@contextmanager
def serving() -> Iterator[NosySite]:
    """The site, on loopback."""
    site = NosySite()

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            kind, text = site.answer(self.command, self.path, body)
            self.send_response(200)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            cache = "public, max-age=3600" if self.path == "/news" else "no-cache"
            self.send_header("Cache-Control", cache)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_POST = _serve  # noqa: N815 - the library's names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()
