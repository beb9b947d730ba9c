"""Who is there: visitors, logins, and what a person has cleared by a click. Bounded; no I/O."""

import base64
import json
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from uuid import uuid4

VISITOR = "provisional_user_id"
AUTH = "arena-auth-prod-v1"
CLEARANCE = "cf_clearance"
CHECKED = "demo_checked"
"""Names of cookies."""

NAME = "demo"
PASSWORD = "demo"  # noqa: S105 - it is written on the login page
"""The one login that there is."""

LIMIT = 10_000
"""Of visitors, logins and clearances that are remembered."""

Cookies = Mapping[str, str]


class Tokens:
    """Secrets that were given out, each good until a time."""

    def __init__(self) -> None:
        self._until: OrderedDict[str, float] = OrderedDict()

    def give(self, life_s: float, now_s: float, value: str = "") -> str:
        """A token (chosen by chance, if none is named) that is good for so long."""
        token = value or secrets.token_urlsafe(24)
        self._until[token] = now_s + life_s
        while len(self._until) > LIMIT:
            self._until.popitem(last=False)
        return token

    def holds(self, token: str, now_s: float) -> bool:
        """Whether a token is good now."""
        return now_s < self._until.get(token, 0.0)

    def forget(self, token: str) -> None:
        """Make a token worthless, if it is one."""
        self._until.pop(token, None)


class Accounts:
    """Everything that cookies stand for."""

    def __init__(self) -> None:
        self.logins = Tokens()
        self.clearances = Tokens()
        self.checks = Tokens()
        self.agreed = Tokens()

    def new_visitor(self) -> str:
        """An id for who comes for the first time."""
        return str(uuid4())

    def log_in(self, visitor: str, life_s: float, now_s: float) -> str:
        """The cookie of a new login. Its form is that of the site: base64 of a JSON session."""
        session = {
            "access_token": secrets.token_urlsafe(24),
            "token_type": "bearer",
            "expires_in": int(life_s),
            "refresh_token": secrets.token_urlsafe(12),
            "user": {"id": visitor or self.new_visitor(), "role": "authenticated"},
        }
        packed = base64.b64encode(json.dumps(session).encode()).decode()
        return self.logins.give(life_s, now_s, f"base64-{packed}")

    def is_logged_in(self, cookies: Cookies, now_s: float) -> bool:
        """Whether the request comes with a login that has not ended."""
        return self.logins.holds(cookies.get(AUTH, ""), now_s)

    def is_cleared(self, cookies: Cookies, now_s: float) -> bool:
        """Whether a person has passed the check of the site's edge."""
        return self.clearances.holds(cookies.get(CLEARANCE, ""), now_s)

    def is_checked(self, cookies: Cookies, now_s: float) -> bool:
        """Whether a person has passed the check within the page."""
        return self.checks.holds(cookies.get(CHECKED, ""), now_s)
