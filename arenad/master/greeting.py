"""What `make run` prints when the first request can be served: two things to try, as they stand."""

from arenad.schema.control import State


def greeting(state: State) -> str:
    """A curl line and a Python snippet for the model that is there."""
    models = [model for child in state.children for model in child.models]
    model = models[0] if models else "demo-eliza"
    return f"""
arenad is ready: {state.verdict}.

  API        {state.api_url}
  dashboard  {state.gui_url}
  site       {state.site}
  models     {", ".join(dict.fromkeys(models)) or "none yet"}

Try it from a shell:

  curl -N {state.api_url}/chat/completions -H 'content-type: application/json' \\
    -d '{{"model": "{model}", "stream": true, "messages": [{{"role": "user", "content": "Hello, who are you?"}}]}}'

or from Python (pip install openai):

  from openai import OpenAI
  client = OpenAI(base_url="{state.api_url}", api_key="none")
  for chunk in client.chat.completions.create(
      model="{model}", stream=True, messages=[{{"role": "user", "content": "Hello!"}}]
  ):
      print(chunk.choices[0].delta.content or "", end="", flush=True)

Another shell: .venv/bin/arenactl status · scale 5 --wait · logs -f     (Ctrl-C here stops arenad)

"""
