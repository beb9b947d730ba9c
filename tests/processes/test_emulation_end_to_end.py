"""Tools behind the whole daemon: an echo calls what the last message says."""

import json
from typing import Any

import openai
from daemon import Daemon, running, until

from arenad import notation

TOOL: Any = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}


def called(daemon: Daemon) -> str:
    """The arguments of the call; or why there is none."""
    said: Any = [{"role": "user", "content": notation.call("add", {"a": 3})}]
    http = openai.DefaultHttpxClient(trust_env=False)
    with openai.OpenAI(
        base_url=f"{daemon.api_url}/v1", api_key="none", max_retries=0, http_client=http
    ) as client:
        try:
            answer = client.chat.completions.create(model="echo", messages=said, tools=[TOOL])
        except openai.BadRequestError as error:
            return error.message
    (call,) = answer.choices[0].message.tool_calls or []
    assert call.type == "function"
    return call.function.arguments


def test_a_reload_switches_it_on_and_off() -> None:
    """At once: the frontend that refused a moment ago is still the same."""
    with running(1, site={"profile": "echo"}, browser={"path": "/nonexistent"}) as daemon:
        assert "api.emulate" in called(daemon)
        pid = daemon.child("frontend-1")["pid"]
        settings = json.loads(daemon.config_path.read_text())
        settings["api"]["emulate"] = True
        daemon.config_path.write_text(json.dumps(settings))
        assert "api.emulate: false -> true (at once)" in daemon.ctl("reload").stdout
        until(lambda: called(daemon) == '{"a":3}', "it is on")
        settings["api"]["emulate"] = False
        daemon.config_path.write_text(json.dumps(settings))
        daemon.ctl("reload")
        until(lambda: "api.emulate" in called(daemon), "it is off")
        assert daemon.child("frontend-1")["pid"] == pid
