"""Several kinds of instances in one daemon: a page in a browser, upstreams without one."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from chats import client, whole
from daemon import Daemon, running, until
from openai_upstream import Threaded, Upstream


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    """Another site, with models of its own."""
    threaded = Threaded()
    threaded.upstream.models = ("echo", "whole")
    with threaded.running() as upstream:
        yield upstream


def _template(name: str, upstream: Upstream, instances: int) -> dict[str, Any]:
    site = {"profile": "openai-http", "url": upstream.url}
    return {"name": name, "site": site, "instances": instances}


def _workers(daemon: Daemon) -> dict[str, int]:
    """The ready instances, each with its generation."""
    workers = daemon.children("worker")
    return {each["name"]: each["generation"] for each in workers if each["condition"] == "ready"}


def _models(daemon: Daemon) -> set[str]:
    async def ask() -> set[str]:
        async with client(daemon.api_url) as each:
            return {model.id async for model in each.models.list()}

    return asyncio.run(ask())


def test_one_pool_of_several_kinds(upstream: Upstream) -> None:
    """Each model is asked where it is; numbers, reloads and upgrades go template by template."""
    with running(1) as daemon:
        settings = json.loads(daemon.config_path.read_text())
        settings["instance_templates"] = [_template("up", upstream, 2)]
        daemon.config_path.write_text(json.dumps(settings))
        told = daemon.ctl("reload", "--wait").stdout
        assert "instance_templates.up.instances" in told
        until(lambda: _workers(daemon) == {"w1": 1, "up-1": 1, "up-2": 1}, "the template")
        assert daemon.state()["verdict"] == "well: 3 of 3 instances ready"
        assert {"demo-echo-instant", "echo"} <= _models(daemon)
        for model in ("demo-echo-instant", "echo"):
            assert asyncio.run(whole(daemon.api_url, model, "to the letter")) == "to the letter"
        assert [each["model"] for each in upstream.asked] == ["echo"]

        assert daemon.ctl("scale", "up=1", "--wait").returncode == 0
        assert _workers(daemon) == {"w1": 1, "up-1": 1}
        assert daemon.ctl("scale", "nope=1").returncode == 1
        assert "there are up" in daemon.ctl("scale", "nope=1").stderr

        settings["instance_templates"] = [_template("third", upstream, 2)]
        daemon.config_path.write_text(json.dumps(settings))
        assert daemon.ctl("reload", "--wait").returncode == 0
        until(lambda: _workers(daemon) == {"w1": 1, "third-1": 1, "third-2": 1}, "the other one")
        assert daemon.ctl("scale", "third=1", "--wait").returncode == 0
        assert daemon.ctl("upgrade", "--wait").returncode == 0
        until(lambda: _workers(daemon) == {"w1": 2, "third-1": 2}, "all to be new")
        assert daemon.state()["templates"] == {"third": 1}
        with pytest.raises(openai.NotFoundError):
            asyncio.run(whole(daemon.api_url, "neither", "x"))
