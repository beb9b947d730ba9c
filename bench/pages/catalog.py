"""Chat pages of other makers: what to install, how to start it, and how its answer comes."""

from pathlib import Path
from typing import NamedTuple

from bench.upstream import Spared

HERE = Path(__file__).parent
APPS, PROFILES = HERE / "apps", HERE / "profiles"


class Third(NamedTuple):
    """One page. `{port}`, `{bin}`, `{apps}`, `{home}`, `{upstream}` stand in what it is run with.

    `spared`: patterns of what it does not carry itself, whoever looks at it, and what stands there
    instead. `is_plain_form`: it is read as it is drawn, so only what HTML can bring back is asked
    for. `asks`: see `asking`; the profile's one model if there are none. `never`: files of the
    page's own record, and a pattern that no line of it may have. `own_only`: why neither `generic`
    nor `learn` is tried there.
    """

    name: str
    packages: tuple[str, ...]
    transport: str
    run: tuple[str, ...]
    env: tuple[tuple[str, str], ...] = ()
    files: tuple[tuple[str, str], ...] = ()
    python: str = "3.11"
    spared: Spared = ()
    is_plain_form: bool = False
    is_npm: bool = False
    asks: tuple[str, ...] = ()
    never: tuple[str, str] | None = None
    own_only: str = ""

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

TABS = (("\t", "x"),)
"""Gradio's chatbot expands them on the server."""

ASTRAL = (("[\U00010000-\U0010ffff\u200d\ufe0f]+", "x"),)
"""Panel counts characters on the server, UTF-16 units in the page: it loses some behind such."""

LANGUAGES = (*TABS, (r"(?m)^```.+$", "```"))
"""NiceGUI and Mesop name no code's language in their HTML; NiceGUI expands tabs."""

PAGES = (
    Third("gradio-4", OLD_GRADIO, "EventSource", _script("gradio_chat"), spared=TABS),
    Third("gradio-5", ("gradio<6",), "fetch (queue)", _script("gradio_chat"), spared=TABS),
    Third("gradio-6", ("gradio>=6",), "fetch (queue)", _script("gradio_chat"), spared=TABS),
    Third(
        "fastchat",
        ("fschat[model_worker,webui]", "openai", "plotly", "transformers<4.46", *OLD_GRADIO),
        "EventSource",
        (
            *("{bin}/python", "-m", "fastchat.serve.gradio_web_server_multi"),
            *("--register-api-endpoint-file", "{home}/models.json", "--controller-url", ""),
            *("--host", "127.0.0.1", "--port", "{port}"),
        ),
        files=(("models.json", FASTCHAT_MODELS),),
        spared=TABS,
        asks=(
            *("nasty", "nasty-two", "nasty,nasty-two", "nasty-two,nasty"),
            *("battle", "battle:A", "battle:B"),
        ),
        never=("*-conv.json", '"type": "[a-z_]*vote"'),
        own_only="several chats in one page, a battle the first",
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
        own_only="nobody can chat there without its password",
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
    Third(
        "nicegui",
        ("nicegui",),
        "DOM (socket.io)",
        _script("nicegui_chat"),
        spared=LANGUAGES,
        is_plain_form=True,
    ),
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
        spared=LANGUAGES,
        is_plain_form=True,
    ),
    Third(
        "deep-chat",
        ("deep-chat",),
        "fetch (SSE), shadow DOM",
        ("python3", "{apps}/deep_chat.py", "{home}/node_modules/deep-chat/dist/deepChat.bundle.js"),
        is_npm=True,
    ),
    Third(
        "n8n-chat",
        ("@n8n/chat@1.0.0",),  # later ones ask for packages that the registry does not have
        "fetch (JSON lines)",
        ("python3", "{apps}/n8n_chat.py", "{home}/node_modules/@n8n/chat/dist"),
        is_npm=True,
    ),
)
