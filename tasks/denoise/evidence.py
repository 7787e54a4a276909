"""Evidence: what speaks for and against documents answering queries. Shapes: N pairs, F features, S sentences,
D vector size.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Evidence:
    """Features and centred vectors of pairs, row for row."""

    own_NF: Floats
    reference_NF: Floats
    has_reference_N: NDArray[np.bool_]
    query_ND: Floats
    sentence_NSD: NDArray[np.float16]
    num_sentences_N: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.own_NF)

    def take(self, rows: NDArray[np.int64]) -> "Evidence":
        """Return some of the pairs, in this order."""
        return Evidence(
            self.own_NF[rows],
            self.reference_NF[rows],
            self.has_reference_N[rows],
            self.query_ND[rows],
            self.sentence_NSD[rows],
            self.num_sentences_N[rows],
        )


def join_evidence(parts: Sequence[Evidence]) -> Evidence:
    """Put evidence one below the other."""
    longest = max(part.sentence_NSD.shape[1] for part in parts)
    padded = [np.pad(part.sentence_NSD, ((0, 0), (0, longest - part.sentence_NSD.shape[1]), (0, 0))) for part in parts]
    return Evidence(
        np.concatenate([part.own_NF for part in parts]),
        np.concatenate([part.reference_NF for part in parts]),
        np.concatenate([part.has_reference_N for part in parts]),
        np.concatenate([part.query_ND for part in parts]),
        np.concatenate(padded),
        np.concatenate([part.num_sentences_N for part in parts]),
    )
