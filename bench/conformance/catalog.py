"""The clients: what to install, what each is tried with, and what a web chat cannot give it."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

CLIENTS = Path(__file__).parent / "clients"
TESTING = ("pytest==9.2.0", "pytest-asyncio==1.5.0", "pytest-timeout==2.4.0")


class Client(NamedTuple):
    """One client. Its first package is the one whose version is told; all of them are pinned.

    `script` holds its tests, pytest's or node's. `known`: tests that must fail, by name, and why.
    """

    name: str
    packages: tuple[str, ...]
    script: str
    known: Mapping[str, str] = {}
    python: str = "3.11"

    @property
    def is_npm(self) -> bool:
        """Whether node runs it."""
        return self.script.endswith(".mjs")

    @property
    def path(self) -> Path:
        """Its tests."""
        return CLIENTS / self.script


_NO_PROBABILITIES = "a chat page tells no probabilities of tokens: refused with 400"
_NO_EMBEDDINGS = "a chat page makes no embeddings: 404"
_NO_SOUND = "a chat page neither hears nor speaks: 404"
_NOTHING_STORED = "no response is stored: the whole conversation has to be sent, else 400"

CATALOG = (
    Client(
        "openai (Python)",
        ("openai==3.57.0", *TESTING),
        "openai_python.py",
        {
            "test_logprobs": _NO_PROBABILITIES,
            "test_embeddings": _NO_EMBEDDINGS,
            "test_transcription": _NO_SOUND,
            "test_previous_response": _NOTHING_STORED,
        },
    ),
    Client(
        "openai (Node)",
        ("openai@7.57.0", "zod@4.6.7"),
        "openai_node.mjs",
        {
            "logprobs": _NO_PROBABILITIES,
            "embeddings": _NO_EMBEDDINGS,
        },
    ),
    Client(
        "anthropic (Python)",
        ("anthropic==2.14.0", *TESTING),
        "anthropic_python.py",
    ),
    Client(
        "LangChain's standard tests",
        ("langchain-tests==1.1.9", "langchain-openai==1.7.4", *TESTING),
        "langchain_standard.py",
    ),
    Client(
        "LlamaIndex",
        ("llama-index-llms-openai-like==0.8.1", *TESTING),
        "llama_index_client.py",
    ),
    Client(
        "litellm",
        ("litellm==1.110.2", *TESTING),
        "litellm_client.py",
    ),
    Client(
        "Vercel AI SDK",
        ("ai@7.0.173", "@ai-sdk/openai-compatible@3.0.92", "zod@4.6.7"),
        "ai_sdk.mjs",
        {
            "embeddings": _NO_EMBEDDINGS,
        },
    ),
    Client(
        "llm",
        ("llm==0.36", *TESTING),
        "llm_command.py",
    ),
)
