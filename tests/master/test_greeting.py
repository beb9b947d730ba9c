"""The greeting: its commands work as they stand, and its lines fit."""

import ast
import json
import shlex
import sys
from pathlib import Path

import pytest

from arenad.master.greeting import arenactl, greeting
from arenad.schema.control import ChildState, State, Traffic


def state(*models):
    child = ChildState(
        name="w1", role="worker", phase="ready", generation=1, pid=1, phase_age_s=1.0,
        restarts=0, last_death="", models=models,
    )  # fmt: skip
    return State(
        word="well", verdict="well: 1 of 1 instance ready", version="0", pid=1, uptime_s=1.0,
        site="demo (http://127.0.0.1:5105/)", api_url="http://127.0.0.1:5102/v1",
        gui_url="http://127.0.0.1:5104/gui/dashboard", instances_wanted=1, instances_max=32,
        children=(child,), traffic=Traffic(), story=(),
    )  # fmt: skip


def curl_of(text):
    start = text.index("  curl")
    return shlex.split(text[start : text.index("\n\nor from Python")])


@pytest.mark.parametrize("model", ["demo-eliza", "it's", 'a "quoted" one', "back\\slash $HOME `x`"])
def test_the_curl_line_is_a_shell_command_with_a_json_body(model):
    """A shell takes it as it stands, whatever the model is called."""
    words = curl_of(greeting(state(model), "arenactl"))
    assert words[:3] == ["curl", "-N", "http://127.0.0.1:5102/v1/chat/completions"]
    body = json.loads(words[words.index("-d") + 1])
    assert body["model"] == model
    assert body["stream"] is True


@pytest.mark.parametrize("model", ["demo-eliza", "it's", 'a "quoted" one'])
def test_the_snippet_is_python(model):
    """Python takes the snippet as it stands."""
    text = greeting(state(model), "arenactl")
    lines = text[text.index("  from openai") : text.index("\nAnother shell")].splitlines()
    tree = ast.parse("\n".join(line[2:] for line in lines))
    assert model in {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}


def test_lines_fit():
    """No line over 100 columns with the models of the demo."""
    text = greeting(state("demo-echo", "demo-eliza", "demo-long"), ".venv/bin/arenactl")
    assert max(map(len, text.splitlines())) <= 100


def test_a_terminal_is_not_steered_by_names():
    """Control characters in a model's name are shown, not sent; long lists are cut."""
    text = greeting(state("a\x1b[2J", *map(str, range(9))), "arenactl")
    assert "\x1b" not in text
    assert "and 4 more" in text


def test_which_arenactl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """In a checkout's own environment by its path, elsewhere by its name; with the folder if set."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    assert arenactl("") == ".venv/bin/arenactl"
    monkeypatch.setattr(sys, "prefix", "/usr")
    assert arenactl("") == "arenactl"
    assert arenactl("/tmp/a b") == "arenactl --runtime-dir '/tmp/a b'"
