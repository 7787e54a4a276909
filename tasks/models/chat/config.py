"""Settings of an LLM client, shared by the stages that ask one."""

from typing import Literal

from pydantic import Field

from tasks.engine.step import Settings
from tasks.models.layout import Dtype


class ChatConfig(Settings):
    """Which LLM is asked, and how. Where it runs and what it may cost is not in the fingerprint."""

    client: Literal["endpoint", "local"] = Field(
        default="endpoint", description="endpoint: any OpenAI-compatible server; local: transformers on this machine."
    )
    model: str = Field(
        default="",
        exclude=True,  # `chat_identity`, what it is and not where it lies, is in the fingerprint
        description="The endpoint's name of the model, or a folder, a hub id or a GGUF file.",
    )
    dtype: Dtype = Field(
        default="float32",
        exclude=True,  # in `chat_identity`
        description="local: in which it computes; half of it halves its memory and, on a GPU, much of the time.",
    )
    temperature: float = Field(default=0.7, ge=0, description="Of the sampling; 0: always the likeliest token.")
    max_new_tokens: int = Field(default=256, ge=1, description="Longest reply.")
    base_url: str = Field(
        default="http://127.0.0.1:8000/v1", exclude=True, description="The endpoint's URL, up to /v1."
    )
    api_key_variable: str = Field(
        default="OPENAI_API_KEY",
        exclude=True,
        description="Environment variable that holds the endpoint's key, if any.",
    )
    max_concurrency: int = Field(default=8, ge=1, exclude=True, description="Requests under way at a time.")
    max_calls: int | None = Field(
        default=None,
        ge=1,
        exclude=True,
        description="Budget of calls for one build, that is one language; empty: none.",
    )
    max_tokens: int | None = Field(
        default=None,
        ge=1,
        exclude=True,
        description="Budget of tokens, prompts included, for one build (a language); empty: none.",
    )
