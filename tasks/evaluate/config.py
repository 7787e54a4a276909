"""Settings of the evaluation."""

from pydantic import Field

from tasks.engine.step import Settings


class EvaluateConfig(Settings):
    """How runs are made and measured."""

    depth: int = Field(default=100, ge=1, description="Documents per query in a run; at least the largest cut-off.")
    metrics: tuple[str, ...] = Field(
        default=("nDCG@10", "R@100"), description="Measures as ir_measures spells them; R@100 is Recall@100."
    )
