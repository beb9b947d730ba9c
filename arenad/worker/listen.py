"""Open what a profile names as the answer's way, before the prompt is sent."""

from arenad.schema.profile import Places, StreamRules
from arenad.worker.channels import EventMessages, SocketFrames
from arenad.worker.dom_source import DomSource
from arenad.worker.first_answer import FirstAnswer
from arenad.worker.page import Page
from arenad.worker.source import Source


async def listen(page: Page, rules: StreamRules, stop: Places = (), prompt: str = "") -> Source:
    """The source of the page's next answer, to `prompt`.

    `stop` is the landmark that shows that one runs. Raises `DevToolsError`.
    """
    if rules.transport == "any":
        return await FirstAnswer.begin(page, stop, prompt)
    if rules.dom is not None and rules.transport == "dom":
        return await DomSource.begin(page, rules.dom, stop)
    follow = rules.follow or rules.grammar == "gradio"
    if rules.transport == "websocket":
        source = SocketFrames(rules.url_pattern, page.traffic.channels(is_socket=True), prompt)
    elif rules.transport == "eventsource":
        there = page.traffic.channels(is_socket=False)
        source = EventMessages(rules.url_pattern, there, follow=follow)
    else:
        return page.capture(rules.url_pattern, rules.method, follow=follow)
    page.traffic.attend(source)
    return source
