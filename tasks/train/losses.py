"""Contrastive losses. Shapes: B queries, N documents of all queries together, D embedding size."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from tasks.models.upload import upload
from tasks.train.config import Weighting


def info_nce(
    query_BD: Tensor,
    doc_ND: Tensor,
    *,
    temperature: float | Tensor,
    num_docs: Sequence[int],
    weight_B: Tensor | None = None,
    weighting: Weighting = "none",
    ignore_BN: Tensor | None = None,
) -> Tensor:
    """Cross-entropy of each query against every document in the batch.

    Documents come query by query, the positive first. All other rows, in-batch and hard negatives alike, are
    negatives. With cosines s, temperature t and the weight w of a query the loss of query b is

    - `none`: ``l(b) = -log(exp(s(b,+)/t) / (exp(s(b,+)/t) + sum over negatives n of exp(s(b,n)/t)))``
    - `query`: ``w(b) * l(b)``
    - `negative`: ``l(b)`` with each ``exp(s(b,n)/t)`` below the fraction bar times ``w(q(n))``, where q(n) is the
      query that n was planned for; so documents of rare languages and topics repel more.

    Args:
        query_BD: the queries' embeddings, L2-normalised.
        doc_ND: the documents' embeddings, L2-normalised.
        temperature: divides the cosines.
        num_docs: how many documents each query has, the positive included.
        weight_B: the weight of each query, above 0.
        weighting: where the weights go.
        ignore_BN: pairs that are left out below the fraction bar: documents that are not negative for the query.
            A query's own positive is never left out.

    Returns:
        The mean over queries, a float32 scalar in nats.

    Raises:
        ValueError: N does not split as `num_docs` says; weights are wanted and missing or not above 0; the
            temperature is not above 0.

    Source: arXiv 2509.09459, section 3.5. Its text weights negatives, its code the loss of each query: both are here.
    """
    if not temperature > 0:
        raise ValueError(f"info_nce: expected a temperature above 0, got {temperature}. Set train.temperature.")
    _check_counts(query_BD.shape[0], doc_ND.shape[0], num_docs)
    with torch.autocast(query_BD.device.type, enabled=False):  # bf16 scores would lose small gaps
        score_BN = query_BD.float() @ doc_ND.float().T / temperature
    row_B = torch.arange(len(num_docs), device=score_BN.device)
    count_B = upload(torch.tensor(num_docs), score_BN.device)
    positive_B = count_B.cumsum(0) - count_B
    is_negative_BN = torch.ones_like(score_BN, dtype=torch.bool)
    is_negative_BN[row_B, positive_B] = False
    if ignore_BN is not None:
        score_BN = score_BN.masked_fill(ignore_BN & is_negative_BN, -torch.inf)
    if weighting == "none":
        return F.cross_entropy(score_BN, positive_B)
    weight_B = _checked(weight_B, score_BN)
    if weighting == "query":
        return (weight_B * F.cross_entropy(score_BN, positive_B, reduction="none")).mean()
    log_weight_N = weight_B.log().repeat_interleave(count_B)
    return F.cross_entropy(score_BN + is_negative_BN * log_weight_N, positive_B)


def same_document(doc_N: Tensor, num_docs: Sequence[int]) -> Tensor:
    """Find documents that are a query's positive a second time, planned for another query of the batch.

    Args:
        doc_N: a number for each document, query by query, the positive first.
        num_docs: how many documents each of the B queries has.

    Returns:
        Bool tensor [B, N]: True where document n is query b's positive by number, but not its own row.
    """
    count_B = torch.tensor(list(num_docs))
    positive_B = count_B.cumsum(0) - count_B
    same_BN = doc_N[positive_B][:, None] == doc_N[None, :]
    same_BN[torch.arange(len(count_B)), positive_B] = False
    return same_BN


def distillation(
    query_BD: Tensor,
    doc_ND: Tensor,
    *,
    temperature: float | Tensor,
    num_docs: Sequence[int],
    teacher_N: Tensor,
) -> Tensor:
    """Divergence of each query's distribution over its own documents from its teacher's.

    ``KL(softmax(teacher) || softmax(cosine / temperature))``, over the documents that the teacher has scored. A query
    with fewer than two of those has nothing to learn from and counts as 0.

    Args:
        query_BD: the queries' embeddings, L2-normalised.
        doc_ND: the documents' embeddings, L2-normalised, query by query.
        temperature: divides the cosines.
        num_docs: how many documents each query has.
        teacher_N: the teacher's score of each document for its own query, a logit; NaN where it has none.

    Returns:
        The mean over queries, a float32 scalar in nats.
    """
    _check_counts(query_BD.shape[0], doc_ND.shape[0], num_docs)
    count_B = upload(torch.tensor(num_docs), doc_ND.device)
    place_K = torch.arange(max(num_docs), device=doc_ND.device)
    doc_BK = ((count_B.cumsum(0) - count_B)[:, None] + place_K).clamp(max=doc_ND.shape[0] - 1)
    known_BK = (place_K < count_B[:, None]) & ~teacher_N[doc_BK].isnan()
    known_BK[:, 0] |= ~known_BK.any(dim=1)  # a distribution over one document: divergence 0, no division by 0
    with torch.autocast(query_BD.device.type, enabled=False):
        score_BK = torch.einsum("bd,bkd->bk", query_BD.float(), doc_ND.float()[doc_BK]) / temperature
    teacher_BK = teacher_N.nan_to_num()[doc_BK]
    log_student_BK = score_BK.masked_fill(~known_BK, -torch.inf).log_softmax(dim=1)
    log_teacher_BK = teacher_BK.masked_fill(~known_BK, -torch.inf).log_softmax(dim=1)
    gap_BK = (log_teacher_BK - log_student_BK).masked_fill(~known_BK, 0.0)
    return (log_teacher_BK.exp() * gap_BK).sum(dim=1).mean()


def _check_counts(num_queries: int, num_documents: int, num_docs: Sequence[int]) -> None:
    if len(num_docs) != num_queries or sum(num_docs) != num_documents or min(num_docs) < 1:
        raise ValueError(
            f"info_nce: expected counts of {num_documents} documents for {num_queries} queries, at least 1 each, "
            f"got {list(num_docs)}. Give each query its positive and its negatives."
        )


def _checked(weight_B: Tensor | None, score_BN: Tensor) -> Tensor:
    if weight_B is None or weight_B.shape != score_BN.shape[:1] or not bool((weight_B > 0).all()):
        got = None if weight_B is None else weight_B.tolist()
        raise ValueError(
            f"info_nce: expected {score_BN.shape[0]} weights above 0, got {got}. Set train.weighting to none, or "
            "let plan_batches weight every query."
        )
    return weight_B.to(score_BN)
