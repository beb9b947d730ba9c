"""Whom the local servers answer, and how they refuse: every error leaves as an error object.

A request has to be addressed to this machine, and what changes something must not be sent by a
foreign web page.
"""

import asyncio
import ipaddress
import logging
import re
import uuid
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import cast

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler

from arenad.errors import InvalidRequest, RequestError
from arenad.frontend.openai import error_object

JSON = "application/json"
BODY_TIMEOUT_S = 60.0
"""A client that declares a body has so long to send it."""

MAX_ID_CHARS = 128

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:/?#@\[\]\s]+)(:\d{1,5})?")
_SANE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")

_ID = web.RequestKey("id", str)
_BEGUN = web.RequestKey("begun", bool)

log = logging.getLogger("arenad.http")


_CAUSED_OUTSIDE = (HttpProcessingError, ConnectionError)


def _is_worth_a_line(record: logging.LogRecord) -> bool:
    """Not what anybody can cause by sending what is no HTTP, or by leaving."""
    return not (record.exc_info and isinstance(record.exc_info[1], _CAUSED_OUTSIDE))


server_log = logging.getLogger("arenad.http.server")
"""For aiohttp's own server, which would log every malformed request with its traceback."""

server_log.addFilter(_is_worth_a_line)


class Forbidden(InvalidRequest):
    """The request comes from where it may not come from."""

    http_status = 403
    code = "forbidden"


class NotServed(InvalidRequest):
    """No such path."""

    http_status = 404
    code = "not_found"


class WrongMethod(InvalidRequest):
    """The path is served by other methods."""

    http_status = 405
    code = "method_not_allowed"


class TooSlow(InvalidRequest):
    """The body did not arrive in time."""

    http_status = 408
    code = "request_timeout"


class TooLarge(InvalidRequest):
    """The body is over the limit."""

    http_status = 413
    code = "request_too_large"


Stamp = Callable[[web.Request, web.StreamResponse], None]


def application(max_body_bytes: int, stamp: Stamp) -> web.Application:
    """An application behind the guard; `stamp` puts its headers on every response that begins."""

    async def begin(request: web.Request, response: web.StreamResponse) -> None:
        request[_BEGUN] = True
        response.headers["Server"] = "arenad"
        stamp(request, response)

    app = web.Application(middlewares=[_boundary], client_max_size=max_body_bytes)
    app.on_response_prepare.append(begin)
    return app


@web.middleware
async def _boundary(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        check_host(request)
        return await handler(request)
    except RequestError as error:
        return refusal(request, error)
    except web.HTTPException as error:
        if error.status < web.HTTPBadRequest.status_code:
            raise
        response = refusal(request, _routing_error(request, error))
        if (allowed := error.headers.get("Allow")) is not None:
            response.headers["Allow"] = allowed
        return response
    except ConnectionError:
        raise  # the client left; the server closes what remains
    except Exception:  # the boundary of a request: it is said, and answered
        log.exception("request %s ended with a bug", request_id(request))
        if _BEGUN in request:
            raise ConnectionAbortedError("a second answer cannot be sent") from None
        return refusal(request, RequestError("internal error; the log of the daemon has more"))


def refusal(request: web.Request, error: RequestError) -> web.Response:
    """The error as an object, said in the log."""
    headers: dict[str, str] = {}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, round(error.retry_after_s)))
    level = logging.INFO if error.fault == "client" else logging.WARNING
    log.log(level, "request %s: %d %s", request_id(request), error.http_status, error.message)
    return web.Response(
        body=error_object(error), status=error.http_status, content_type=JSON, headers=headers
    )


def _routing_error(request: web.Request, error: web.HTTPException) -> RequestError:
    asked = f"{request.method} {request.rel_url.raw_path}"
    match error.status:
        case web.HTTPNotFound.status_code:
            return NotServed(f"{asked}: there is nothing here")
        case web.HTTPMethodNotAllowed.status_code:
            allowed = error.headers.get("Allow", "")
            return WrongMethod(f"{asked}: use {allowed} here")
        case _:
            return InvalidRequest(f"{asked}: {error.text or error.reason}")


def request_id(request: web.Request) -> str:
    """The client's own id when it is a sane one, else a new one; the same for all its life."""
    if _ID not in request:
        headers = request.headers
        given = headers.get("X-Client-Request-Id") or headers.get("X-Request-Id") or ""
        is_sane = len(given) <= MAX_ID_CHARS and _SANE_ID.fullmatch(given)
        request[_ID] = given if is_sane else uuid.uuid4().hex
    return request[_ID]


# -- checks ---------------------------------------------------------------------------------------


def check_host(request: web.Request) -> None:
    """Raise `Forbidden` for a foreign `Host`, as a page that rebinds its DNS name would send it."""
    hosts = request.headers.getall("Host", [])
    if len(hosts) != 1:
        raise InvalidRequest(f"Host: was sent {len(hosts)} times; send it once")
    host = _name_in(hosts[0])
    if not _is_loopback(host) and host != _own_address(request):
        raise Forbidden(f"Host: is {hosts[0]!r}; use a loopback address such as 127.0.0.1")


def check_origin(request: web.Request) -> None:
    """Raise `Forbidden` for an action that another origin's page sends (Fetch standard, Origin)."""
    origin = request.headers.get("Origin")
    if origin is not None and origin.lower() != f"{request.scheme}://{request.host}".lower():
        raise Forbidden(f"Origin: is {origin!r}; pages of other origins are not served")


def _name_in(host: str) -> str:
    """The host without its port and brackets; empty when it is malformed."""
    found = _HOST.fullmatch(host)
    return found[1].strip("[]").removesuffix(".").lower() if found else ""


@lru_cache(maxsize=64)
def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _own_address(request: web.Request) -> str | None:
    """Where the connection arrived: an operator who listens elsewhere wants to be reached there."""
    transport = request.transport
    name = transport.get_extra_info("sockname") if transport is not None else None
    return str(cast("tuple[object, ...]", name)[0]) if isinstance(name, tuple) else None


# -- bodies ---------------------------------------------------------------------------------------


async def body(request: web.Request, max_bytes: int) -> bytes:
    """The whole body. Raises `TooLarge`, `TooSlow` or `InvalidRequest`."""
    too_large = TooLarge(f"the body is larger than {max_bytes} bytes; send less")
    if (request.content_length or 0) > max_bytes:
        raise too_large
    return await _within(BODY_TIMEOUT_S, _read(request, too_large))


async def _within(timeout_s: float, reading: Awaitable[bytes]) -> bytes:
    try:
        async with asyncio.timeout(timeout_s):
            return await reading
    except TimeoutError as error:
        raise TooSlow(f"the body did not arrive within {timeout_s:g} s") from error


async def _read(request: web.Request, too_large: TooLarge) -> bytes:
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise too_large from error
    except (web.RequestPayloadError, HttpProcessingError) as error:
        raise InvalidRequest(f"the body cannot be read: {error}") from error
