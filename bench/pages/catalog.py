"""Chat pages of other makers: what to install, how to start it, and how its answer comes."""

from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
APPS, PROFILES = HERE / "apps", HERE / "profiles"


class Third(NamedTuple):
    """One page. `{port}`, `{bin}`, `{apps}`, `{home}`, `{upstream}` stand in what it is run with.

    `spared`: a pattern of what it does not carry itself, whoever looks at it. `is_plain_form`: it
    is read as it is drawn, so only what HTML can bring back is asked for.
    """

    name: str
    packages: tuple[str, ...]
    transport: str
    run: tuple[str, ...]
    env: tuple[tuple[str, str], ...] = ()
    files: tuple[tuple[str, str], ...] = ()
    python: str = "3.11"
    spared: str = ""
    is_plain_form: bool = False
    is_npm: bool = False
    model: str = ""

    @property
    def profile(self) -> Path:
        """The profile's file."""
        return PROFILES / f"{self.name}.yaml"


def _script(name: str) -> tuple[str, ...]:
    return ("{bin}/python", f"{{apps}}/{name}.py")


FASTCHAT_MODELS = """{"nasty": {"model_name": "nasty", "api_base": "{upstream}",
"api_key": "none", "api_type": "openai", "anony_only": false},
"nasty-two": {"model_name": "nasty-two", "api_base": "{upstream}",
"api_key": "none", "api_type": "openai", "anony_only": false}}"""

OLD_GRADIO = ("gradio==4.44.1", "huggingface_hub<0.26", "pydantic<2.11", "starlette<0.42")
"""Gradio 4 does not name the last releases of what it needs with which it runs."""

TABS = "\t"
"""Gradio's chatbot expands them on the server."""

ASTRAL = "[\U00010000-\U0010ffff]"
"""Panel counts characters on the server, UTF-16 units in the page: it loses some behind such."""

PAGES = (
    Third("gradio-4", OLD_GRADIO, "EventSource", _script("gradio_chat"), spared=TABS),
    Third("gradio-5", ("gradio<6",), "fetch (queue)", _script("gradio_chat"), spared=TABS),
    Third("gradio-6", ("gradio>=6",), "fetch (queue)", _script("gradio_chat"), spared=TABS),
    Third(
        "fastchat",
        ("fschat[model_worker,webui]", "openai", "transformers<4.46", *OLD_GRADIO),
        "fetch (queue)",
        (
            *("{bin}/python", "-m", "fastchat.serve.gradio_web_server", "--controller-url", ""),
            *("--register-api-endpoint-file", "{home}/models.json", "--port", "{port}"),
        ),
        files=(("models.json", FASTCHAT_MODELS),),
        spared=TABS,
        model="nasty",
    ),
    Third(
        "chainlit",
        ("chainlit",),
        "socket.io",
        ("{bin}/chainlit", "run", "{apps}/chainlit_chat.py", "--headless", "--port", "{port}"),
    ),
    Third(
        "chainlit-login",
        ("chainlit",),
        "socket.io, login",
        ("{bin}/chainlit", "run", "{apps}/chainlit_chat.py", "--headless", "--port", "{port}"),
        env=(("LOGIN", "open-sesame"), ("CHAINLIT_AUTH_SECRET", "only-for-this-run" * 3)),
    ),
    Third(
        "streamlit",
        ("streamlit",),
        "protobuf in WebSocket",
        (
            *("{bin}/streamlit", "run", "{apps}/streamlit_chat.py", "--server.port", "{port}"),
            *("--server.headless", "true", "--browser.gatherUsageStats", "false"),
        ),
    ),
    Third("nicegui", ("nicegui",), "socket.io", _script("nicegui_chat"), is_plain_form=True),
    Third(
        "shiny",
        ("shiny", "shinychat"),
        "JSON in WebSocket",
        ("{bin}/shiny", "run", "{apps}/shiny_chat.py", "--port", "{port}"),
    ),
    Third(
        "panel",
        ("panel",),
        "shadow DOM",
        ("{bin}/panel", "serve", "{apps}/panel_chat.py", "--port", "{port}"),
        spared=ASTRAL,
        is_plain_form=True,
    ),
    Third(
        "mesop",
        ("mesop",),
        "DOM (SSE of protobuf)",
        ("{bin}/mesop", "{apps}/mesop_chat.py", "--port", "{port}", "--prod"),
        is_plain_form=True,
    ),
    Third(
        "deep-chat",
        ("deep-chat",),
        "fetch (SSE), shadow DOM",
        ("python3", "{apps}/deep_chat.py", "{home}/node_modules/deep-chat/dist/deepChat.bundle.js"),
        is_npm=True,
    ),
)
