"""One request of the page's own, as BiDi tells of it: made, answered, ended. Not its body."""

import re

from arenad.schema.profile import StreamRules
from arenad.worker.bidi import Params
from arenad.worker.source import Inbox

EVENTS = (
    "network.beforeRequestSent",
    "network.responseStarted",
    "network.responseCompleted",
    "network.fetchError",
)
REDIRECTS = range(300, 400)


class Request(Inbox):
    """The next one whose address matches: it tells a refusal, and an answer that was cut."""

    def __init__(self, rules: StreamRules) -> None:
        """By the pattern and the method that the rules name."""
        super().__init__()
        self._url = re.compile(rules.url_pattern)
        self._method = rules.method
        self._id = ""

    def tell(self, event: str, params: Params) -> None:
        """Take one of `EVENTS`."""
        request = params["request"]
        if not self._id and event == EVENTS[0]:
            if request["method"] == self._method and self._url.search(str(request["url"])):
                self._id = str(request["request"])
                self._is_sent = True
                self._changed.set()
        elif request["request"] != self._id or not self._id:
            return
        elif event == "network.fetchError":
            self._end(str(params.get("errorText") or "the connection failed"))
        elif (status := int(params["response"]["status"])) in REDIRECTS or event == EVENTS[0]:
            return
        elif event == "network.responseStarted":
            self.status = status
            named = ((each["name"], each["value"]) for each in params["response"]["headers"])
            self.headers = {str(name).lower(): str(value["value"]) for name, value in named}
            self._changed.set()
        else:
            self._end("")
