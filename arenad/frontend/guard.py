"""Whom the local servers answer: requests addressed to this machine, not sent by a foreign web page."""

import ipaddress
from urllib.parse import urlsplit

from aiohttp import web

from arenad.errors import InvalidRequest
from arenad.frontend.openai import error_object

JSON = "application/json"


class Forbidden(InvalidRequest):
    """The request comes from where it may not come from."""

    http_status = 403
    code = "forbidden"


def check_host(request: web.Request) -> None:
    """Raise `Forbidden` for a foreign `Host`, as a page that rebinds its DNS name would send it."""
    host = urlsplit(f"//{request.host}").hostname or ""
    if not _is_local(host):
        raise Forbidden(f"Host: is {host!r}; use a loopback address such as 127.0.0.1")


def check_origin(request: web.Request) -> None:
    """Raise `Forbidden` for an action that a page of another origin sends (Fetch standard, Origin)."""
    origin = request.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc != request.host:
        raise Forbidden(f"Origin: is {origin!r}; actions are taken from this dashboard alone")


def _is_local(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def error_response(error: InvalidRequest) -> web.Response:
    """The error as an object."""
    return web.Response(body=error_object(error), status=error.http_status, content_type=JSON)
