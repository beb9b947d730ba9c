"""Whom the local servers answer, and how they refuse: every error leaves as an error object.

Without keys a request has to come from this machine and be addressed to it; and what changes
something must not be sent by a foreign web page.
"""

import asyncio
import ipaddress
import logging
import math
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple, cast

from aiohttp import HttpVersion11, web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler

from arenad.errors import InvalidRequest, ModelNotFound, OverLimit, RequestError, Unauthorized
from arenad.frontend import cors, instruct, messages, openai
from arenad.frontend.parts import shown
from arenad.frontend.vocabulary import Vocabulary, Wish
from arenad.schema.config import ApiConfig

JSON = "application/json"
BODY_TIMEOUT_S = 60.0
"""A client that declares a body has so long to send it."""

MAX_ID_CHARS = 128

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[\w.~-]+)(:\d{1,5})?", re.ASCII)
_SANE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")

OWNER = web.RequestKey("owner", str)
"""The name of the key with which a request came; absent where none is asked for."""

_ID = web.RequestKey("id", str)
_OWN_ID = web.RequestKey("own id", str)
_BEGUN = web.RequestKey("begun", bool)


class Doorman(NamedTuple):
    """Who lets requests in; `admit` raises a `RequestError`, and `scheme` is asked for on a 401."""

    admit: Callable[[web.Request], Awaitable[None]]
    scheme: str = "Bearer"


_SPOKEN = web.AppKey("spoken", Mapping[str, Vocabulary])
_DOORMAN = web.AppKey("doorman", Doorman)

MAX_MODEL_CHARS = 1000
"""No model has a longer name, nor two together."""

CODINGS = ("identity", "gzip", "deflate")
"""How a body may be packed."""

MAX_RETRY_AFTER_S = 120.0
"""OpenAI's clients (openai-python 3) wait no longer: such a wait is for their callers."""

log = logging.getLogger("arenad.http")


_CAUSED_OUTSIDE = (HttpProcessingError, web.RequestPayloadError, ConnectionError)


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


class NotSupported(NotServed):
    """OpenAI's API has it, and no chat page can do it."""

    code = "unsupported_endpoint"


class WrongMethod(InvalidRequest):
    """The path is served by other methods."""

    http_status = 405
    code = "method_not_allowed"


class TooSlow(InvalidRequest):
    """The body did not arrive in time."""

    http_status = 408
    code = "request_timeout"


class WrongType(InvalidRequest):
    """The body is of another type than JSON, or packed in another way than is read."""

    http_status = 415
    code = "unsupported_media_type"


class WrongExpectation(InvalidRequest):
    """Something is expected of us that we do not know (HTTP, `Expect`)."""

    http_status = 417
    code = "expectation_failed"


class TooLarge(InvalidRequest):
    """The body is over the limit."""

    http_status = 413
    code = "request_too_large"


UNSUPPORTED: Mapping[str, str] = {
    "/v1/embeddings": "a chat page gives no embeddings; ask a service that does",
    "/v1/audio": "a chat page takes no sound and gives none; ask a service that does",
    "/v1/realtime": "a chat page takes no sound and gives none; ask a service that does",
    "/v1/videos": "a chat page's videos are not read; ask a service that makes them",
    "/v1/moderations": "a chat page judges no texts; ask a service that does",
    "/v1/images/edits": "send the image in a message: POST /v1/chat/completions",
    "/v1/images/variations": "send the image in a message: POST /v1/chat/completions",
    "/v1/fine_tuning": "a chat page's models cannot be tuned",
    "/v1/batches": "batches are not taken; send a request for each",
    "/v1/files": "files are not stored here; send them in a message",
    "/v1/uploads": "files are not stored here; send them in a message",
    "/v1/messages/batches": "batches are not taken; send a request for each",
    "/v1/chat/completions": messages.NO_STORE,
    "/v1/responses/compact": "a chat page sums nothing up; send all that was said",
    "/v1/responses": messages.NO_STORE,
    "/v1/containers": "no code is run here, and no files are kept for it",
    "/v1/evals": "a chat page's models are not evaluated here",
    "/v1/conversations": messages.NO_STORE,
    "/v1/assistants": messages.NO_STORE,
    "/v1/threads": messages.NO_STORE,
    "/v1/vector_stores": messages.NO_STORE,
}
"""What clients of OpenAI may look for, at and below these paths, and why it is not here."""

Stamp = Callable[[web.Request, web.StreamResponse], None]


async def _local_alone(request: web.Request) -> None:
    check_local(request)


def application(
    stamp: Stamp,
    spoken: Mapping[str, Vocabulary] | None = None,
    doorman: Doorman = Doorman(_local_alone),  # noqa: B008 - it is frozen
) -> web.Application:
    """An application behind the guard; `stamp` puts its headers on every response that begins.

    `spoken` says in which words errors are told at, and below, some paths; else it is OpenAI's.
    """

    async def begin(request: web.Request, response: web.StreamResponse) -> None:
        request[_BEGUN] = True
        response.headers["Server"] = "arenad"
        stamp(request, response)

    app = web.Application(middlewares=[_boundary])
    app[_SPOKEN] = spoken or {}
    app[_DOORMAN] = doorman
    app.on_response_prepare.append(begin)
    return app


@web.middleware
async def _boundary(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        await request.app[_DOORMAN].admit(request)
        return await handler(request)
    except RequestError as error:
        return refusal(request, error)
    except web.HTTPException as error:
        if error.status < web.HTTPBadRequest.status_code:
            raise
        return routed_wrong(request, error)
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
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_s)))
    never_s = math.inf if isinstance(error, OverLimit) else 0.0  # it is over the limit by itself
    if (error.retry_after_s or never_s) > MAX_RETRY_AFTER_S:
        headers["x-should-retry"] = "false"
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = request.app[_DOORMAN].scheme
    level = logging.INFO if error.fault == "client" else logging.WARNING
    status, body = _words_of(request).refusal(error)
    owner = request.get(OWNER, "")
    whose = f" of {owner}" if owner else ""
    log.log(level, "request %s%s: %d %s", request_id(request), whose, status, error.message)
    return web.Response(body=body, status=status, content_type=JSON, headers=headers)


def routed_wrong(request: web.Request, error: web.HTTPException) -> web.Response:
    """What aiohttp itself refuses, in our words."""
    response = refusal(request, _routing_error(request, error))
    if (allowed := error.headers.get("Allow")) is not None:
        response.headers["Allow"] = allowed
    return response


def _words_of(request: web.Request) -> Vocabulary:
    """Those of the path. Both makers' clients ask for models: Anthropic's always send a version."""
    at = f"{request.path}/"
    if at.startswith("/v1/models/") and "anthropic-version" in request.headers:
        return messages.MESSAGES
    spoken = request.app[_SPOKEN].items()
    return next((words for path, words in spoken if at.startswith(f"{path}/")), openai.CHAT)


def _routing_error(request: web.Request, error: web.HTTPException) -> RequestError:
    asked = f"{request.method} {request.rel_url.raw_path}"
    match error.status:
        case web.HTTPNotFound.status_code:
            return _not_served(request, asked)
        case web.HTTPMethodNotAllowed.status_code:
            allowed = error.headers.get("Allow", "")
            return WrongMethod(f"{asked}: use {allowed} here")
        case web.HTTPExpectationFailed.status_code:
            given = request.headers.get("Expect", "")
            return WrongExpectation(f"Expect: is {given[:80]!r}; must be 100-continue, or absent")
        case _:
            return InvalidRequest(f"{asked}: {error.text or error.reason}")


def _not_served(request: web.Request, asked: str) -> NotServed:
    if meant := _meant(request):
        return NotServed(f"{asked}: there is nothing here{meant}")
    for begin, why in UNSUPPORTED.items():
        if request.path == begin or request.path.startswith(f"{begin}/"):
            return NotSupported(f"{asked}: {why}")
    return NotServed(f"{asked}: there is nothing here")


def _meant(request: web.Request) -> str:
    """A client's base address often lacks the `/v1`, or has it twice, or ends with a slash."""
    served = {resource.canonical for resource in request.app.router.resources()}
    path = request.path
    plain = re.sub("/+", "/", path).rstrip("/")
    near = (plain, f"/v1{plain}", plain.removeprefix("/v1"))
    return next((f"; did you mean {each}?" for each in near if each in served - {path}), "")


def request_id(request: web.Request) -> str:
    """The client's own id when it is a sane one, else a new one; the same for all its life."""
    if _ID not in request:
        given = (request.headers.get(name, "") for name in ("X-Client-Request-Id", "X-Request-Id"))
        request[_ID] = next(filter(_is_sane, given), "") or own_id(request)
    return request[_ID]


def _is_sane(given: str) -> bool:
    return len(given) <= MAX_ID_CHARS and _SANE_ID.fullmatch(given) is not None


def own_id(request: web.Request) -> str:
    """One that no other request has, whatever clients call theirs; the same for all its life."""
    if _OWN_ID not in request:
        request[_OWN_ID] = new_id()
    return request[_OWN_ID]


def new_id() -> str:
    """An id for a request that brought none."""
    return uuid.uuid4().hex


# -- checks ---------------------------------------------------------------------------------------


def check_local(request: web.Request) -> None:
    """Raise `Forbidden` for whoever is not on this machine, or does not mean it."""
    peer = request.transport.get_extra_info("peername") if request.transport else None
    host = str(cast("tuple[object, ...]", peer)[0]) if isinstance(peer, tuple) else ""
    if not _is_loopback(host) and host != _own_address(request):
        raise Forbidden(
            f"requests of {host or 'nobody'} are not answered while there is no key; "
            "`arenactl keys create NAME` on the machine of the daemon makes one"
        )
    check_host(request)


def check_host(request: web.Request) -> None:
    """Raise `Forbidden` for a foreign `Host`, as a page that rebinds its DNS name would send it."""
    hosts = request.headers.getall("Host", [])
    if len(hosts) != 1:
        raise InvalidRequest(f"Host: was sent {len(hosts)} times; send it once")
    host = _name_in(hosts[0])
    if not _is_loopback(host) and host != _own_address(request):
        raise Forbidden(f"Host: is {hosts[0]!r}; use a loopback address such as 127.0.0.1")


def check_host_form(request: web.Request) -> None:
    """Raise `InvalidRequest` for a `Host` that is none: it stands in addresses that we tell."""
    host = request.headers.get("Host")
    if host is not None and not _HOST.fullmatch(host):
        told = "must be a name or an address, and a port where it is not the usual one"
        raise InvalidRequest(f"Host: is {host[:80]!r}; {told} (RFC 9110, 7.2)")


def check_origin(request: web.Request, allowed: Sequence[str] = ()) -> None:
    """Raise `Forbidden` for an action of a page of another origin (Fetch standard, Origin)."""
    origin = request.headers.get("Origin")
    if origin is None or origin.lower() == f"{request.scheme}://{request.host}".lower():
        return
    if not cors.allows(allowed, origin):
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


def check_json(request: web.Request) -> None:
    """Raise `WrongType` for a body that says to be no JSON; one that says nothing may be."""
    given = request.headers.get("Content-Type")
    if given is not None and request.content_type != JSON:
        raise WrongType(f"Content-Type: is {given[:80]!r}; must be {JSON}")
    coding = request.headers.get("Content-Encoding", "identity")
    if coding.lower() not in CODINGS:
        raise wrong_coding(f"is {coding[:80]!r}")


def wrong_coding(what: str) -> WrongType:
    """The error for a body that is packed in a way which is not read here (RFC 9110, 8.4)."""
    return WrongType(f"Content-Encoding: {what}; must be one of {', '.join(CODINGS)}")


def post(path: str, handler: Handler) -> web.RouteDef:
    """A route to which bodies are sent."""
    return web.post(path, handler, expect_handler=_expects)


async def _expects(request: web.Request) -> None:
    """Say nothing yet to a client that asks whether to send its body (RFC 9110, 10.1.1).

    It is told to when the body is wanted, and else only why it is not.
    """
    if request.version >= HttpVersion11 and request.headers["Expect"].lower() != "100-continue":
        raise web.HTTPExpectationFailed


async def posted(request: web.Request, limits: ApiConfig) -> bytes:
    """The body of a request that wants something done. Raises an `InvalidRequest`."""
    check_origin(request, limits.cors_origins)
    check_json(request)
    return await body(request, limits.max_body_bytes, limits.body_timeout_s)


def taken(wish: Wish, limits: ApiConfig, field: str = "messages") -> Wish:
    """The wish, if it is not of too many messages, nor of what is not done here.

    `field` is the one that holds the messages. Raises `InvalidRequest`, `ModelNotFound`.
    """
    if len(wish.model) > MAX_MODEL_CHARS:  # before anybody keeps it, or tells it
        told = f"there is no {shown(wish.model)}; GET /v1/models lists what there is"
        raise ModelNotFound(f"model: {told}", param="model")
    count, most = len(wish.turns), limits.max_messages
    if count > most:
        told = f"are {count}; {most} are taken (api.max_messages); send fewer"
        raise InvalidRequest(f"{field}: {told}", param=field)
    if wish.emulation is not None and not limits.emulate:
        param = wish.emulation.param
        told = "is not emulated here; leave it out, or have the operator set api.emulate"
        raise InvalidRequest(f"{param}: {told}", param=param)
    if wish.emulation is not None:
        instruct.check(wish.emulation)
    return wish


async def body(request: web.Request, max_bytes: int, timeout_s: float = BODY_TIMEOUT_S) -> bytes:
    """The whole body, which nobody else holds. Raises `TooLarge`, `TooSlow`, `InvalidRequest`."""
    too_large = TooLarge(f"the body is larger than {max_bytes} bytes; send less")
    if (request.content_length or 0) > max_bytes:
        raise too_large
    return await _within(timeout_s, _read(request, max_bytes, too_large))


async def _within(timeout_s: float, reading: Awaitable[bytes]) -> bytes:
    try:
        async with asyncio.timeout(timeout_s):
            return await reading
    except TimeoutError as error:
        raise TooSlow(
            f"the body did not arrive within {timeout_s:g} s; send it faster, or less"
        ) from error


async def _read(request: web.Request, max_bytes: int, too_large: TooLarge) -> bytes:
    """Not by `request.read()`, which would hold the body until the answer has been given."""
    held = bytearray()
    if request.version >= HttpVersion11 and "Expect" in request.headers:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # nothing of the answer has been written
    try:
        while piece := await request.content.readany():
            held += piece
            if len(held) > max_bytes:
                raise too_large
    except (web.RequestPayloadError, HttpProcessingError) as error:
        raise InvalidRequest(f"the body cannot be read: {error}") from error
    return bytes(held)
