"""The command `llm`, with a model of its own in extra-openai-models.yaml."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

TEXT = 'Grüße, 汉字, 👩‍👩‍👧‍👦, "quoted"'
MODELS = """
- model_id: echo
  model_name: demo-echo
  api_base: URL/v1
- model_id: files
  model_name: demo-files
  api_base: URL/v1
  vision: true
- model_id: reasoning
  model_name: demo-reasoning
  api_base: URL/v1
  reasoning: true
- model_id: obedient
  model_name: OBEDIENT
  api_base: URL/v1
  supports_tools: true
  supports_schema: true
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The command's own folder, with the models."""
    told = MODELS.replace("URL", os.environ["ARENAD_URL"])
    told = told.replace("OBEDIENT", os.environ["OBEDIENT_MODEL"])
    (tmp_path / "extra-openai-models.yaml").write_text(told)
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path))
    return tmp_path


def llm(*words: str, given: str = "", code: int = 0) -> str:
    """Run it, and give what it prints."""
    ran = subprocess.run(
        [sys.executable, "-m", "llm", *words],
        input=given, capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert ran.returncode == code, ran.stderr
    return ran.stdout if code == 0 else ran.stderr


def test_models() -> None:
    """The list has them."""
    assert "echo" in llm("models")


def test_prompt() -> None:
    """Streamed, as it does by itself, and whole."""
    assert llm("-m", "echo", TEXT) == TEXT + "\n"
    assert llm("-m", "echo", "--no-stream", TEXT) == TEXT + "\n"


def test_pipe_and_system() -> None:
    """Text from another command, and a system prompt."""
    told = llm("-m", "echo", "-s", "be brief", given="from a pipe")
    assert "be brief" in told
    assert "from a pipe" in told


def test_conversation() -> None:
    """`-c` goes on with what was said."""
    llm("-m", "echo", "one")
    assert "two" in llm("-c", "two")
    logged = json.loads(llm("logs", "--json"))
    assert len({entry["conversation_id"] for entry in logged}) == 1


def test_attachment(home: Path) -> None:
    """A picture goes through the page's upload."""
    # The smallest GIF.
    (home / "dot.gif").write_bytes(
        b"GIF89a\1\0\1\0\0\0\0!\xf9\4\1\0\0\0\0,\0\0\0\0\1\0\1\0\0\2\2D\1\0;"
    )
    assert "image/gif" in llm("-m", "files", "-a", str(home / "dot.gif"), "see")


def test_options() -> None:
    """What a page has no switch for is no error."""
    assert llm("-m", "echo", "-o", "temperature", "0.2", "-o", "seed", "3", "hi") == "hi\n"


def test_reasoning() -> None:
    """The answer of a model that reasons is its answer."""
    assert "hi" in llm("-m", "reasoning", "hi")


def test_schema() -> None:
    """`--schema` gives JSON."""
    found = json.loads(llm("-m", "obedient", "--schema", "name, age int", "Anna is 41."))
    assert set(found) == {"name", "age"}


def test_tool() -> None:
    """A function of the user's is called, and its result answered."""
    code = "def add(a: int, b: int) -> int:\n    'Adds two numbers.'\n    return a + b\n"
    told = llm("-m", "obedient", "--functions", code, "--td", "What is 3 plus 4? Use the tool add.")
    assert told.strip()
    (call,) = [call for entry in json.loads(llm("logs", "--json")) for call in entry["tool_calls"]]
    assert (call["name"], call["arguments"]) == ("add", {"a": 3, "b": 4})


def test_error() -> None:
    """A model that is not there is said in a line."""
    config = Path(os.environ["LLM_USER_PATH"]) / "extra-openai-models.yaml"
    config.write_text(config.read_text().replace("demo-echo", "gpt-none"))
    assert "gpt-none" in llm("-m", "echo", "hi", code=1)
