"""Visitors, logins, clearances: what cookies stand for."""

import base64
import json

import pytest

from arenad.demo import accounts


def test_a_login_ends_by_itself() -> None:
    """Its cookie has the site's form, and is worth nothing after its life."""
    known = accounts.Accounts()
    cookie = known.log_in("me", 60, 100.0)
    session = json.loads(base64.b64decode(cookie.removeprefix("base64-")))
    assert (session["user"]["id"], session["expires_in"]) == ("me", 60)
    cookies = {accounts.AUTH: cookie}
    assert known.is_logged_in(cookies, 159.0)
    assert not known.is_logged_in(cookies, 160.0)
    assert not known.is_logged_in({}, 100.0)


def test_a_token_can_be_forgotten() -> None:
    """And what never was a token is none."""
    tokens = accounts.Tokens()
    token = tokens.give(60, 0.0)
    assert tokens.holds(token, 1.0)
    tokens.forget(token)
    tokens.forget("never given")
    assert not tokens.holds(token, 1.0)


def test_the_checks_are_two() -> None:
    """Who passed the edge's check has not passed the page's."""
    known = accounts.Accounts()
    cookies = {accounts.CLEARANCE: known.clearances.give(60, 0.0)}
    assert known.is_cleared(cookies, 1.0)
    assert not known.is_checked(cookies, 1.0)
    assert known.is_checked({accounts.CHECKED: known.checks.give(60, 0.0)}, 1.0)


def test_tokens_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest is forgotten first."""
    monkeypatch.setattr(accounts, "LIMIT", 1)
    tokens = accounts.Tokens()
    first, second = tokens.give(60, 0.0), tokens.give(60, 0.0)
    assert (tokens.holds(first, 1.0), tokens.holds(second, 1.0)) == (False, True)
