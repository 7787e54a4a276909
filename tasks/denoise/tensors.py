"""Evidence as tensors: apart from fitting, so that scoring loads no scikit-learn."""

import torch
from torch import Tensor

from tasks.denoise.evidence import Evidence


def to_tensors(evidence: Evidence) -> dict[str, Tensor]:
    """Return the evidence as `EvidenceModel.score` takes it."""
    return {name: torch.from_numpy(getattr(evidence, name)) for name in Evidence.__dataclass_fields__}
