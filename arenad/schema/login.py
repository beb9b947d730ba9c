"""The file in which an instance's login is kept: JSON, readable by its owner alone."""

from typing import Literal

from arenad.schema.base import Record


class SavedCookie(Record):
    """One cookie, its fields named as DevTools names them.

    `expires` is in seconds since 1970; negative: with the session.
    """

    name: str
    value: str
    domain: str
    path: str
    expires: float = -1.0
    httpOnly: bool = False  # noqa: N815 - the protocol's name
    secure: bool = False
    sameSite: Literal["", "Strict", "Lax", "None"] = ""  # noqa: N815 - the protocol's name

    def __repr__(self) -> str:
        """Without its value: it is as good as a password."""
        return f"{type(self).__name__}({self.name!r}, …)"


class SavedLogin(Record):
    """Cookies of all addresses, and what the page's own origin keeps in its local storage.

    `site` is where the instance began: of another site nothing is taken up again.
    """

    site: str
    origin: str
    cookies: tuple[SavedCookie, ...]
    local: dict[str, str]

    def __repr__(self) -> str:
        """Without what is in it."""
        return f"{type(self).__name__}(site={self.site!r}, …)"
