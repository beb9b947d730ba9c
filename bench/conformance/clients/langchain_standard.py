"""LangChain's own standard tests for chat models, against langchain-openai's ChatOpenAI."""

import os
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests


class TestArenad(ChatModelIntegrationTests):
    """What a chat model must do to be called one."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        """As any OpenAI-compatible service is used."""
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        """Where, and which model."""
        return {
            "model": os.environ["OBEDIENT_MODEL"],
            "base_url": os.environ["ARENAD_URL"] + "/v1",
            "api_key": "none",
            "max_retries": 0,
            "stream_usage": True,
        }

    @property
    def model_override_value(self) -> str:
        """Another model, for one call."""
        return "demo-echo"

    @property
    def supports_json_mode(self) -> bool:
        """`response_format: json_object`."""
        return True
