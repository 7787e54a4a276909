"""Settings of the export: which model becomes the one to use."""

from pydantic import Field

from tasks.engine.step import Settings


class ExportConfig(Settings):
    """When a new model replaces the last good one of this pipeline's name, and who is told."""

    tolerance: float = Field(
        default=0.0,
        ge=0,
        description="How much worse than the last good model a new one may be on the dev queries and still replace it, "
        "in the first of evaluate.metrics. It stays out where it is worse than that beyond chance.",
    )
    notify: str | None = Field(
        default=None,
        pattern="^[a-z0-9-]+/[a-z0-9-]+$",
        description="A notification block of Prefect, as slack-webhook/team or custom-webhook/nightly: it is told "
        "which model won, and why.",
    )
