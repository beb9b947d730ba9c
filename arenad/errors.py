"""The tree of errors, and whose fault each one is.

::

    ArenadError
    ├── ConfigError                  operator: the configuration cannot be used (all faults at once)
    ├── LinkLost                     ours: the process at the other end of a link is gone
    └── RequestError                 a request ends with an error object
        ├── InvalidRequest           client: 400, names the field
        │   ├── Unauthorized         client: 401, no key, or none that holds
        │   ├── OutOfScope           client: 403, the key is not for this
        │   ├── ModelNotFound        client: 404
        │   ├── ChatFull             client: 400, the site takes no conversation this long
        │   └── TooLong              client: 413, more than an instance can be sent
        ├── Refused                  operator: a control command cannot be carried out
        ├── Cancelled                client: left before the end (499, only ever logged)
        ├── OverLimit                client: 429, the key may ask no more in this minute, or at once
        │   ├── TooManyTokens        client: 429, or of so many tokens
        │   └── OverBudget           client: 429, or no more today
        ├── Overloaded               ours:   429, queue full or waited too long
        ├── Busy                     ours:   the instance has no free slot (asked again elsewhere)
        ├── Unavailable              ours:   503, there is no instance and none is on its way
        ├── Resting                  site:   429, every usable instance rests
        ├── NeedsHuman               site:   503, a human check waits for a person
        ├── NeedsLogin               site:   503, a login wall waits for a person
        ├── Expired                  site:   503, the session has ended; it is begun anew
        ├── ContentRejected          site:   400, the site's moderation
        ├── UpstreamFailed           site:   502, failed, empty or cut answer
        │   ├── Away                 site:   502, cannot be reached; it is tried again
        │   └── NotObeyed            site:   502, the model did not answer as it was told to
        │       ├── NoToolCalled     site:   502, called no tool
        │       └── NotTheFormat     site:   502, gave no such JSON
        ├── TimedOut                 site:   504, first event, idle or total deadline
        ├── ProfileOutdated          site:   502, a landmark is gone
        └── WorkerLost               ours:   502, the worker died

A `RequestError` crosses processes as `schema.chat.Failure`, by its `kind`.
"""

from typing import ClassVar, Literal

Fault = Literal["client", "site", "ours", "operator"]


class ArenadError(Exception):
    """Root of every error that arenad raises on purpose."""


class ConfigError(ArenadError):
    """The configuration cannot be used. `faults` lists every fault found, not just the first."""

    def __init__(self, faults: list[str]) -> None:
        """Keep the faults; the message is one fault to a line."""
        super().__init__("\n".join(faults))
        self.faults = faults


class LinkLost(ArenadError):
    """The other end of a link is gone, or broke the protocol; every waiter ends with this."""


class RequestError(ArenadError):
    """A request (of an HTTP client or of an operator) ends with an error object.

    Class attributes are the table of architecture part 10: `kind` is the name on the wire,
    `http_status`, `error_type` and `code` are what an OpenAI client sees, `elsewhere` says whether
    another instance may be asked while nothing has been answered yet.
    """

    kind: ClassVar[str] = "internal"
    http_status: ClassVar[int] = 500
    error_type: ClassVar[str] = "server_error"
    code: ClassVar[str] = "internal_error"
    fault: ClassVar[Fault] = "ours"
    elsewhere: ClassVar[bool] = False

    def __init__(
        self, message: str, *, retry_after_s: float | None = None, param: str | None = None
    ) -> None:
        """`message` is for the client's eyes; `param` names the request field at fault."""
        super().__init__(message)
        self.message = message
        self.retry_after_s = retry_after_s
        self.param = param


class InvalidRequest(RequestError):
    """The request itself is wrong; the message names the field, the value and the remedy."""

    kind = "invalid_request"
    http_status = 400
    error_type = "invalid_request_error"
    code = "invalid_request"
    fault = "client"


class Unauthorized(InvalidRequest):
    """The request came without a key, or with one that does not hold (any more)."""

    kind = "unauthorized"
    http_status = 401
    code = "invalid_api_key"


class OutOfScope(InvalidRequest):
    """The key holds, but not for what was asked."""

    kind = "out_of_scope"
    http_status = 403
    code = "insufficient_permissions"


class ModelNotFound(InvalidRequest):
    """No instance offers this model."""

    kind = "model_not_found"
    http_status = 404
    code = "model_not_found"


class ChatFull(InvalidRequest):
    """The site says that the conversation is too long for it."""

    kind = "chat_full"
    http_status = 400
    code = "context_length_exceeded"


class TooLong(InvalidRequest):
    """More text than an instance can be sent, at whatever site."""

    kind = "too_long"
    http_status = 413
    code = "request_too_large"


class Refused(RequestError):
    """A control command cannot be carried out, and nothing was changed."""

    kind = "refused"
    http_status = 409
    error_type = "invalid_request_error"
    code = "refused"
    fault = "operator"


class Cancelled(RequestError):
    """The one who asked left before the end."""

    kind = "cancelled"
    http_status = 499
    code = "client_closed_request"
    fault = "client"


class OverLimit(RequestError):
    """The key has used what it may in a minute, or at once. The type is what there is too much of.

    OpenAI's API reference names it so ("Rate limits").
    """

    kind = "over_limit"
    http_status = 429
    error_type = "requests"
    code = "rate_limit_exceeded"
    fault = "client"


class TooManyTokens(OverLimit):
    """The same, of tokens."""

    kind = "too_many_tokens"
    http_status = 429
    error_type = "tokens"
    code = "rate_limit_exceeded"


class OverBudget(OverLimit):
    """The key has used what it may in a day."""

    kind = "over_budget"
    http_status = 429
    error_type = "insufficient_quota"
    code = "insufficient_quota"


class Overloaded(RequestError):
    """The queue is full, or a request waited in it for too long."""

    kind = "overloaded"
    http_status = 429
    error_type = "rate_limit_error"
    code = "overloaded"


class Busy(RequestError):
    """The instance had no free slot after all (another frontend was quicker)."""

    kind = "busy"
    http_status = 429
    error_type = "rate_limit_error"
    code = "overloaded"
    elsewhere = True


class Unavailable(RequestError):
    """There is no instance that could ever take the request."""

    kind = "unavailable"
    http_status = 503
    code = "no_instance_available"


class Resting(RequestError):
    """The site asked for patience and every usable instance rests."""

    kind = "resting"
    http_status = 429
    error_type = "rate_limit_error"
    code = "rate_limit_exceeded"
    fault = "site"
    elsewhere = True


class NeedsHuman(RequestError):
    """The site shows a human check that only a person may clear."""

    kind = "needs_human"
    http_status = 503
    code = "human_verification_required"
    fault = "site"
    elsewhere = True


class NeedsLogin(RequestError):
    """The site shows a login wall that only a person may clear."""

    kind = "needs_login"
    http_status = 503
    code = "session_login_required"
    fault = "site"
    elsewhere = True


class Expired(RequestError):
    """The site ended the session; the instance begins a new one."""

    kind = "expired"
    http_status = 503
    code = "session_expired"
    fault = "site"
    elsewhere = True


class ContentRejected(RequestError):
    """The site's moderation refused the content. Never asked again elsewhere."""

    kind = "content_rejected"
    http_status = 400
    error_type = "invalid_request_error"
    code = "content_policy_violation"
    fault = "site"


class UpstreamFailed(RequestError):
    """The site failed, or answered with nothing, or cut the answer off."""

    kind = "upstream"
    http_status = 502
    code = "upstream_error"
    fault = "site"
    elsewhere = True


class Away(UpstreamFailed):
    """The site cannot be reached at all; it is tried again, after pauses."""

    kind = "away"
    http_status = 502
    code = "upstream_unreachable"


class NotObeyed(UpstreamFailed):
    """The model did not answer in the way that was emulated; it is not asked again elsewhere."""

    kind = "not_obeyed"
    http_status = 502
    code = "instructions_not_followed"
    elsewhere = False
    said = ""
    """What it answered, where it may be asked to answer once more; never for the client's eyes."""


class NoToolCalled(NotObeyed):
    """A tool had to be called, and none was."""

    kind = "no_tool_called"
    http_status = 502
    code = "tool_call_missing"


class NotTheFormat(NotObeyed):
    """JSON was wanted, perhaps by a schema, and the answer is none such."""

    kind = "not_the_format"
    http_status = 502
    code = "response_format_not_met"


class TimedOut(RequestError):
    """A deadline passed: first event, idle time between events, or the whole answer."""

    kind = "timeout"
    http_status = 504
    code = "upstream_timeout"
    fault = "site"
    elsewhere = True


class ProfileOutdated(RequestError):
    """The page no longer has what the profile describes; the message names what is gone."""

    kind = "profile_outdated"
    http_status = 502
    code = "profile_outdated"
    fault = "site"


class WorkerLost(RequestError):
    """The worker that performed the request died."""

    kind = "lost"
    http_status = 502
    code = "instance_lost"
    elsewhere = True


def _all_kinds(parent: type[RequestError]) -> dict[str, type[RequestError]]:
    kinds = {parent.kind: parent}
    for child in parent.__subclasses__():
        kinds |= _all_kinds(child)
    return kinds


KINDS: dict[str, type[RequestError]] = _all_kinds(RequestError)
"""Every request error by its name on the wire."""
