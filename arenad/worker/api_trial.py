"""Tries an OpenAI-compatible upstream: whether it tells its models, and answers."""

import time
from collections.abc import Awaitable, Callable
from functools import partial

from arenad.errors import RequestError
from arenad.schema.profile import Profile
from arenad.schema.trial import Finding, Trial
from arenad.worker.calling import Calling, client
from arenad.worker.footing import Site
from arenad.worker.sites.http_api import ApiSite
from arenad.worker.trial import answer_of


async def try_upstream(profile: Profile, url: str, key: str, prompt: str) -> Trial:
    """Ask for its models; send one prompt if there is one."""
    async with client() as calls:
        site = ApiSite(calls, profile, url, key)
        findings = [await _finding("models", partial(_models, site))]
        if prompt and site.models:
            findings.append(await _finding("answer", partial(answer_of, site, prompt)))
    return Trial(
        profile=profile.name,
        version=profile.version,
        url=url,
        browser=Calling.name,
        findings=tuple(findings),
    )


async def _models(site: Site) -> str:
    await site.open()
    return f"{len(site.models)}: {', '.join(model.id for model in site.models)}"


async def _finding(name: str, check: Callable[[], Awaitable[str]]) -> Finding:
    began_s = time.monotonic()
    try:
        note, holds = await check(), True
    except RequestError as error:
        note, holds = error.message, False
    took_s = time.monotonic() - began_s
    return Finding(name=name, verdict="holds" if holds else "gone", note=note, took_s=took_s)
