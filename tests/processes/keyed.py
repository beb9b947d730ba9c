"""Keys of a daemon, and requests that are sent with one: status, headers and answer as they are."""

import json
import urllib.error
import urllib.request
from typing import Any

from daemon import Daemon


def make(daemon: Daemon, name: str, *words: str) -> str:
    """A key of this name, as its owner has it."""
    made = daemon.ctl("keys", "create", name, "--json", *words)
    assert made.returncode == 0, made.stderr
    return json.loads(made.stdout)["key"]


def call(url: str, key: str = "", body: object = None, **headers: str) -> tuple[int, Any, Any]:
    """Status, headers and answer."""
    told = {name.replace("_", "-"): text for name, text in headers.items()}
    if key:
        told["Authorization"] = f"Bearer {key}"
    packed = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, packed, {"Content-Type": "application/json", **told})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.headers, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, json.loads(error.read())
