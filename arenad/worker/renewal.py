"""When a session has lasted long enough for a fresh one: a brain."""

import msgspec

from arenad.schema.config import SessionConfig


class Lease(msgspec.Struct, frozen=True):
    """A session's begin: the time, the chats performed before it, and its `draw` from 0 up to 1.

    `wish` is why somebody wants it to end; empty while nobody does.
    """

    began_s: float
    chats: int
    draw: float
    wish: str = ""


def why_now(lease: Lease, now_s: float, chats: int, rules: SessionConfig) -> str:
    """Why the session is to be renewed; empty if it is not. The jitter shortens both limits."""
    if lease.wish:
        return lease.wish
    share = 1.0 - rules.jitter_percent / 100 * lease.draw
    had = chats - lease.chats
    if rules.max_requests and had >= max(1, int(rules.max_requests * share)):
        return f"it has had {had} requests (session.max_requests {rules.max_requests})"
    age_s = now_s - lease.began_s
    if rules.max_age_s and age_s >= rules.max_age_s * share:
        return f"it has lasted for {age_s:.0f} s (session.max_age_s {rules.max_age_s:g})"
    return ""
