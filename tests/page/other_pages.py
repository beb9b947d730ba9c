"""The demo arena's other pages: how each brings its answer, as a profile says it, and who drives them."""

import json
from collections.abc import AsyncIterator

import msgspec
import yaml

from arenad.errors import RequestError
from arenad.schema.chat import Event, Finish, ReasoningDelta, TextDelta
from arenad.schema.profile import StreamRules
from arenad.worker.listen import listen
from arenad.worker.page import Page
from arenad.worker.sites.reading import Reading

STREAMS = {
    "sse": """
        url_pattern: /chat/completions
        grammar: sse
    """,
    "jsonl": """
        url_pattern: /jsonl/chat
        grammar: json-lines
        answer: {text: message.content, reasoning: message.thinking, finish: done}
        error: error
    """,
    "eventsource": """
        transport: eventsource
        url_pattern: /eventsource/answers/
        grammar: sse
        answer:
          text: $value when $event=message
          reasoning: $value when $event=reasoning
          finish: $value when $event=end
        error: $value when $event=failure
    """,
    "websocket": """
        transport: websocket
        url_pattern: /websocket/talk
        grammar: json-frames
        answer:
          text: text when type=text
          reasoning: text when type=reasoning
          finish: reason when type=end
        error: text when type=error
    """,
    "dom": """
        transport: dom
        dom: {element: 'article[data-role=assistant] > .text'}
    """,
    "shadow": """
        transport: dom
        dom: {element: 'chat-answer >> .text', end: 'article[data-status=done]'}
    """,
}
NETWORK = ("sse", "jsonl", "eventsource", "websocket")
STOP = "#stop"


def rules(text: str) -> StreamRules:
    """The rules that a profile's `stream:` section says."""
    return msgspec.convert(yaml.safe_load(text), StreamRules)


async def ask(page: Page, prompt: str, model: str) -> None:
    """Choose the model, write, send: in the document or in the one shadow root that the page is."""
    assert await page.is_gone(STOP, 10)  # it takes nothing before it has drawn the last answer
    told = json.dumps([prompt, model])
    await page.evaluate(f"""(() => {{
        const [prompt, model] = {told};
        const root = document.querySelector("chat-app")?.shadowRoot ?? document;
        root.querySelector("#model").value = model;
        const box = root.querySelector("textarea");
        box.value = prompt;
        box.dispatchEvent(new InputEvent("input", {{ bubbles: true }}));
        root.querySelector("button[type=submit]").click();
        return 0;
    }})()""")


class Answered:
    """What was read of one answer."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.batches = 0
        self.outcome: Finish | RequestError | None = None

    @property
    def text(self) -> str:
        return "".join(each.text for each in self.events if isinstance(each, TextDelta))

    @property
    def reasoning(self) -> str:
        return "".join(each.text for each in self.events if isinstance(each, ReasoningDelta))


async def answer(page: Page, stream: StreamRules, prompt: str, model: str) -> Answered:
    """Ask, and read the whole answer."""
    read = Answered()
    async for events in batches(page, stream, prompt, model, read):
        read.events += events
        read.batches += 1
    return read


async def batches(
    page: Page, stream: StreamRules, prompt: str, model: str, read: Answered
) -> AsyncIterator[list[Event]]:
    """Ask, and give what each read brings; at the end the outcome stands in `read`."""
    reading = Reading(stream)
    source = await listen(page, stream, STOP)
    await ask(page, prompt, model)
    await source.sent()
    try:
        async for events in reading.events(source):
            yield events
    except RequestError as error:
        read.outcome = error
        return
    events, read.outcome = reading.end()
    if events:
        yield events
