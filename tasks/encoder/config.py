"""Settings of the base encoder."""

from typing import Literal

from pydantic import Field

from tasks.engine.step import Settings


class EncoderConfig(Settings):
    """The encoder that finds candidates, and from which training starts."""

    model: str = Field(
        default="bundled:multilingual-e5-small",
        description="`bundled:multilingual-e5-small`, a folder, or a hub id with an optional @revision.",
        exclude=True,  # the digest of its bytes is in the fingerprint instead
    )
    num_layers: int | None = Field(
        default=None, ge=1, description="Keep only the first layers: faster, and a weaker start. Empty: all of them."
    )
    pooling: Literal["mean", "cls", "last"] = Field(default="mean", description="How token states become one vector.")
    query_prompt: str = Field(default="query: ", description="Put before every query.")
    document_prompt: str = Field(default="passage: ", description="Put before every document.")
