"""What `make run` prints when the first request can be served: things to try, as they stand."""

import shlex
import sys
from pathlib import Path

import msgspec

from arenad.schema.control import State

MAX_MODELS = 6


def arenactl(runtime_dir: str) -> str:
    """The command that reaches this daemon from a shell where the daemon was started."""
    in_checkout = Path(sys.prefix) == Path.cwd() / ".venv"
    command = ".venv/bin/arenactl" if in_checkout else "arenactl"
    return f"{command} --runtime-dir {shlex.quote(runtime_dir)}" if runtime_dir else command


def greeting(state: State, command: str) -> str:
    """A curl line and a Python snippet for the model that is there; `command` is for arenactl."""
    models = list(dict.fromkeys(model for child in state.children for model in child.models))
    shown = [model if model.isprintable() else ascii(model) for model in models]
    more = f" and {len(shown) - MAX_MODELS} more" if len(shown) > MAX_MODELS else ""
    model = msgspec.json.encode(models[0] if models else "demo-eliza").decode()
    hello = '{"role": "user", "content": "Hello, who are you?"}'
    body = shlex.quote(
        f'{{\n    "model": {model}, "stream": true,\n    "messages": [{hello}]\n  }}'
    )
    return f"""
arenad is ready: {state.verdict}.

  API        {state.api_url}
  dashboard  {state.gui_url}
  site       {state.site}
  models     {", ".join(shown[:MAX_MODELS]) or "none yet"}{more}

Try it from a shell:

  curl -N {state.api_url}/chat/completions \\
  -H 'content-type: application/json' -d {body}

or from Python (pip install openai):

  from openai import OpenAI
  client = OpenAI(base_url="{state.api_url}", api_key="none")
  for chunk in client.chat.completions.create(
      model={model}, stream=True, messages=[{{"role": "user", "content": "Hello!"}}]
  ):
      print(chunk.choices[0].delta.content or "", end="", flush=True)

Another shell may ask {command} status, or let it scale 5 --wait, or logs -f.
Ctrl-C here stops arenad.

"""
