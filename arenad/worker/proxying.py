"""A page's context behind a proxy, and the proxy's question who comes, answered over DevTools."""

from collections.abc import Callable

from arenad.schema.process import Proxy
from arenad.worker.devtools import DevTools, Params, Reply

WEBRTC = "--force-webrtc-ip-handling-policy=disable_non_proxied_udp"
"""Without it a page could learn the machine's own address, and send past the proxy."""

MAX_ANSWERED = 256
"""So many questions are remembered; the oldest is forgotten first."""

Admit = Callable[[str], None]
"""Called with each session of a page before its first request. Raises `BrowserError`."""


def way(proxy: Proxy | None) -> Params:
    """What a browser context is created with. Chromium spares loopback if it is not told."""
    if proxy is None:
        return {}
    return {"proxyServer": proxy.url, "proxyBypassList": "<-loopback>"}


def admitter(devtools: DevTools, proxy: Proxy | None) -> Admit:
    """Gives sessions the proxy's credentials, each question once: they are right or they are not.

    It makes the browser pause each request for us; only a proxy with credentials is worth that.
    """
    if proxy is None or not proxy.user:
        return lambda _session: None
    own = proxy

    def admit(session: str) -> None:
        answered: dict[str, None] = {}

        def go_on(params: Params) -> None:
            request: Params = {"requestId": params["requestId"]}
            devtools.send(session, "Fetch.continueRequest", request, _ignore)

        def answer(params: Params) -> None:
            request = str(params["requestId"])
            said: Params = {"response": "CancelAuth"}
            if params["authChallenge"].get("source") != "Proxy":
                said = {"response": "Default"}
            elif request not in answered:
                answered[request] = None
                while len(answered) > MAX_ANSWERED:
                    del answered[next(iter(answered))]
                said = {
                    "response": "ProvideCredentials",
                    "username": own.user,
                    "password": own.password,
                }
            told: Params = {"requestId": request, "authChallengeResponse": said}
            devtools.send(session, "Fetch.continueWithAuth", told, _ignore)

        devtools.on(session, "Fetch.requestPaused", go_on)
        devtools.on(session, "Fetch.authRequired", answer)
        devtools.send(session, "Fetch.enable", {"handleAuthRequests": True}, _ignore)

    return admit


def _ignore(_: Reply) -> None:
    pass
