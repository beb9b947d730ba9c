"""A context behind a proxy, and who is told its credentials."""

from scripted_browser import linked, tell

from arenad.schema.process import Proxy
from arenad.worker import proxying

PROXY = Proxy(name="p", url="http://127.0.0.1:3128", user="me", password="secret")


def test_a_context_spares_no_address() -> None:
    """Not even loopback; without a proxy nothing is said."""
    assert proxying.way(None) == {}
    assert proxying.way(PROXY) == {"proxyServer": PROXY.url, "proxyBypassList": "<-loopback>"}


def test_only_the_proxy_is_told_and_only_once() -> None:
    """A site that asks gets the browser's own answer; a proxy that asks again is not answered."""

    async def story() -> None:
        async with linked() as (devtools, browser):
            proxying.admitter(devtools, PROXY)("s")
            enabled = await browser.answer("Fetch.enable", result={})
            assert enabled["params"] == {"handleAuthRequests": True}
            browser.event("Fetch.requestPaused", {"requestId": "1"})
            gone_on = await browser.answer("Fetch.continueRequest", result={})
            assert gone_on["params"] == {"requestId": "1"}
            said: list[str] = []
            for source in ("Server", "Proxy", "Proxy"):
                asked = {"requestId": "1", "authChallenge": {"source": source}}
                browser.event("Fetch.authRequired", asked)
                told = await browser.answer("Fetch.continueWithAuth", result={})
                answer = told["params"]["authChallengeResponse"]
                said.append(answer["response"])
                assert ("password" in answer) == (answer["response"] == "ProvideCredentials")
            assert said == ["Default", "ProvideCredentials", "CancelAuth"]

    tell(story())


def test_without_credentials_no_request_is_paused() -> None:
    """The next command is another one."""

    async def story() -> None:
        async with linked() as (devtools, browser):
            proxying.admitter(devtools, Proxy(name="p", url=PROXY.url))("s")
            devtools.send("s", "Network.enable", {}, lambda _reply: None)
            await browser.answer("Network.enable", result={})

    tell(story())
