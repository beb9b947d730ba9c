"""Open what a profile names as the answer's way, before the prompt is sent."""

from arenad.schema.profile import Places, StreamRules
from arenad.worker.dom_source import DomSource
from arenad.worker.first_answer import FirstAnswer
from arenad.worker.page_port import PagePort
from arenad.worker.source import Source


async def listen(page: PagePort, rules: StreamRules, stop: Places = (), prompt: str = "") -> Source:
    """The source of the page's next answer, to `prompt`.

    `stop` is the landmark that shows that one runs. Raises `BrowserError`.
    """
    if rules.transport == "any":
        return await FirstAnswer.begin(page, stop, prompt)
    if rules.dom is not None and rules.transport == "dom":
        source = await DomSource.begin(page, rules.dom, stop, prompt)
        source.request = page.request(rules) if rules.url_pattern else None
        return source
    return await page.source(rules, prompt)
