"""The gateways that are measured, each started once, all over the same upstream.

Gateways have the first processor, upstream and client the last one, as far as there are two.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from daemon import Daemon, free_ports, running, until

from bench import costs
from bench.gateway.upstream import MODELS
from bench.peers import serving

ECHO, HTTP, FLOOR, LITELLM, DIRECT = (
    "arenad",
    "arenad over HTTP",
    "bare aiohttp",
    "LiteLLM",
    "direct",
)
WAYS = (ECHO, HTTP, FLOOR, LITELLM, DIRECT)
"""Ours on an instance that echoes; ours on instances that ask the upstream; two others; nothing."""

LITELLM_VERSION = "1.106.2"
HOME = Path(__file__).parents[2] / ".cache" / "bench" / "litellm"
KEY = "sk-bench-0123456789"
INSTANCES = 8
SETTLE_S = 3.0
START_S = 180.0
STOP_S = 10.0
PATIENCE_S = 2
"""What a silent upstream is given, where that can be set."""


class Gateway(NamedTuple):
    """One that is running: whom to ask, with which key, and whose processes."""

    name: str
    url: str
    processes: Callable[[], list[psutil.Process]]
    key: str = ""

    def cpu_s(self) -> float:
        """Processor time of its whole tree so far."""
        return costs.cpu_s(self.processes())


class Ways:
    """Starts a gateway when it is first asked for."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        """They end with the stack."""
        self._stack = stack
        self._there: dict[str, Gateway] = {}
        self.idle: dict[str, costs.Memory] = {}
        self._upstream = ""
        _pin(os.getpid(), -1)

    @property
    def upstream(self) -> str:
        """The upstream's address."""
        if not self._upstream:
            module = "bench.gateway.upstream"
            self._upstream, pid = self._stack.enter_context(serving.running(module))
            _pin(pid, -1)
        return self._upstream

    def __getitem__(self, name: str) -> Gateway:
        """The gateway of this name, running."""
        if name not in self._there:
            made = self._stack.enter_context(_MAKERS[name](self.upstream))
            for process in made.processes():
                _pin(process.pid, 0)
            time.sleep(SETTLE_S)
            self._there[name] = made
            self.idle[name] = costs.memory(made.processes())
        return self._there[name]

    def of(self, *names: str) -> list[Gateway]:
        """Several."""
        return [self[name] for name in names]


def _pin(pid: int, place: int) -> None:
    """To the first or the last of the processors that there are."""
    os.sched_setaffinity(pid, {sorted(range(os.cpu_count() or 1))[place]})


@contextlib.contextmanager
def arenad(upstream: str, instances: int = INSTANCES, **more: dict[str, Any]) -> Iterator[Daemon]:
    """Instances that ask the upstream."""
    site = {"profile": "openai-http", "url": f"{upstream}/v1"}
    quiet = {"log_level": "info"}
    with running(instances, site=site, daemon=quiet, queue={"limit": 1000}, **more) as daemon:
        yield daemon


@contextlib.contextmanager
def _over_http(upstream: str) -> Iterator[Gateway]:
    with arenad(upstream, chat={"idle_timeout_s": PATIENCE_S}) as daemon:
        yield Gateway(HTTP, daemon.api_url, daemon.processes, _key(daemon))


@contextlib.contextmanager
def _echo(upstream: str) -> Iterator[Gateway]:
    del upstream
    with running(1, site={"profile": "echo"}, daemon={"log_level": "info"}) as daemon:
        yield Gateway(ECHO, daemon.api_url, daemon.processes, _key(daemon))


def _key(daemon: Daemon) -> str:
    """One with limits of every kind, which are counted at each request and never met."""
    limits = ("requests-per-minute", "tokens-per-minute", "requests-per-day", "tokens-per-day")
    words = (word for limit in (*limits, "concurrency") for word in (f"--{limit}", "100000000"))
    made = daemon.ctl("keys", "create", "bench", *words, "--json")
    return str(json.loads(made.stdout)["key"])


@contextlib.contextmanager
def _direct(upstream: str) -> Iterator[Gateway]:
    yield Gateway(DIRECT, upstream, list)


@contextlib.contextmanager
def _floor(upstream: str) -> Iterator[Gateway]:
    with serving.running("bench.gateway.floor", upstream) as (url, pid):
        yield Gateway(FLOOR, url, lambda: costs.tree(pid))


def install() -> Path:
    """LiteLLM in an environment of its own, once; gives the folder of its programs.

    Of a version that is known: some of its releases were tampered with.
    """
    there = HOME / LITELLM_VERSION
    if not (there / "installed").exists():
        subprocess.run([sys.executable, "-m", "venv", there], check=True)
        wanted = f"litellm[proxy]=={LITELLM_VERSION}"
        subprocess.run([there / "bin/pip", "install", "--quiet", wanted], check=True)
        (there / "installed").touch()
    return there / "bin"


_CONFIG = """model_list:
{models}
general_settings: {{master_key: {key}}}
litellm_settings: {{request_timeout: 600, stream_timeout: {patience}, num_retries: 0}}
"""
_MODEL = """  - model_name: {name}
    litellm_params: {{model: openai/{name}, api_base: "{upstream}/v1", api_key: none}}"""


@contextlib.contextmanager
def _litellm(upstream: str) -> Iterator[Gateway]:
    programs, (port,) = install(), free_ports(1)
    models = [_MODEL.format(name=name, upstream=upstream) for name in MODELS]
    config = HOME / "config.yaml"
    config.write_text(_CONFIG.format(models="\n".join(models), key=KEY, patience=PATIENCE_S))
    command = [programs / "litellm", "--config", config, "--port", str(port), "--num_workers", "1"]
    env = {**os.environ, "PYTHONPATH": "", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    with (
        (HOME / "log").open("wb") as log,
        subprocess.Popen([*command, "--host", "127.0.0.1"], env=env, stdout=log, stderr=log) as it,
    ):
        try:
            url = f"http://127.0.0.1:{port}"
            until(lambda: _answers(f"{url}/health/liveliness"), "LiteLLM answers", START_S)
            yield Gateway(LITELLM, url, lambda: costs.tree(it.pid), KEY)
        finally:
            it.terminate()
            try:
                it.wait(STOP_S)
            except subprocess.TimeoutExpired:  # it waits for streams that fell silent
                it.kill()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return answer.status == 200
    except OSError:
        time.sleep(0.3)
        return False


_MAKERS = {ECHO: _echo, HTTP: _over_http, FLOOR: _floor, LITELLM: _litellm, DIRECT: _direct}
