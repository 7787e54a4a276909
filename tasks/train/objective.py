"""The loss of a batch as the recipe has it. Shapes: B queries, N documents, U texts, D embedding size."""

import torch.nn.functional as F
from torch import Tensor

from tasks.train.batch import Batch
from tasks.train.config import Recipe
from tasks.train.losses import distillation, info_nce


def batch_loss(text_UD: Tensor, batch: Batch, recipe: Recipe, *, temperature: float | Tensor) -> Tensor:
    """Return the contrastive loss, with the teacher's where the recipe wants it, over all Matryoshka sizes.

    Args:
        text_UD: the batch's texts' embeddings, L2-normalised.
        batch: the texts' roles, on the embeddings' device; has the teacher's scores where
            `recipe.distillation_weight` is above 0.
        recipe: names the losses.
        temperature: divides the cosines.

    Returns:
        The mean over the sizes, a float32 scalar.
    """
    sizes = sorted({*recipe.matryoshka_dimensions, text_UD.shape[1]})
    losses = [_loss_of_size(text_UD, size, batch, recipe, temperature) for size in sizes]
    return sum(losses[1:], start=losses[0]) / len(losses)


def check_objective(recipe: Recipe, *, embedding_size: int, has_teacher: bool) -> None:
    """Make sure that a recipe's losses can be computed.

    Raises:
        ValueError: a Matryoshka size is not one of the embedding, or distillation has no scores.
    """
    if wrong := [size for size in recipe.matryoshka_dimensions if not 1 <= size <= embedding_size]:
        raise ValueError(
            f"train: expected matryoshka_dimensions in 1..{embedding_size}, got {wrong}. Correct the setting."
        )
    if recipe.distillation_weight and not has_teacher:
        raise ValueError(
            f"train: expected stored scores for distillation_weight {recipe.distillation_weight}, got none. "
            "Set train.distillation_weight to 0, or score the candidates."
        )


def _loss_of_size(text_UD: Tensor, size: int, batch: Batch, recipe: Recipe, temperature: float | Tensor) -> Tensor:
    cut_UD = text_UD if size == text_UD.shape[1] else F.normalize(text_UD[:, :size], dim=-1)
    query_BD, doc_ND = cut_UD[: batch.num_queries], cut_UD[batch.doc_N]
    loss = info_nce(
        query_BD,
        doc_ND,
        temperature=temperature,
        num_docs=batch.num_docs,
        weight_B=batch.weight_B,
        weighting=recipe.weighting,
        ignore_BN=batch.ignore_BN,
    )
    if not recipe.distillation_weight or batch.teacher_N is None:
        return loss
    return loss + recipe.distillation_weight * distillation(
        query_BD,
        doc_ND,
        temperature=temperature,
        num_docs=batch.num_docs,
        teacher_N=batch.teacher_N,
    )
