"""Gradients of a large batch in the memory of a few chunks. Shapes: C texts of a chunk, U of a batch, D embedding size.

A contrastive loss needs the embeddings of all texts, but its gradient passes through the network text by text. So the
chunks are embedded first, most of them without a graph; the loss gives a gradient per embedding; then each chunk is
embedded once more and takes its embeddings' gradient through the network.

Source: GradCache (Gao et al., arXiv 2101.06983). Ours keeps the graphs of as many chunks as a budget allows and embeds
only the others twice; it adds up in the order of the plain step, so that the result is the same to the bit on a CPU.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from tasks.models.upload import upload
from tasks.train.batch import Chunks
from tasks.train.workers import Workers


def backpropagate(
    embed: Callable[[Sequence[int]], Tensor],
    chunks: Chunks,
    loss: Callable[[Tensor], Tensor],
    *,
    num_texts: int,
    graph_tokens: float,
    scale: float,
    size: int,
    device: torch.device,
    workers: Workers,
) -> float:
    """Add the loss's gradients to the parameters of the network (this process's texts) and of the loss.

    Args:
        embed: positions of texts -> [C, D], float32; the same for the same texts.
        chunks: this process's texts, each once.
        loss: [U, D] of all processes' texts, in their order -> a scalar.
        num_texts: U.
        graph_tokens: the first chunks of together at most so many tokens keep their graphs: the memory that is used.
        scale: multiplies the gradients of the network, not those of the loss; see `LossScale`.
        size: D.
        device: of the network.
        workers: the processes.

    Returns:
        The loss.
    """
    parts, kept = [], 0
    for chunk, num_tokens in zip(chunks.texts, chunks.sizes, strict=True):
        kept += num_tokens
        with torch.set_grad_enabled(kept <= graph_tokens):
            parts.append(embed(chunk))
    own = [text for chunk in chunks.texts for text in chunk]
    own_SD = torch.cat([part.detach() for part in parts]) if parts else torch.zeros(0, size, device=device)
    text_UD = workers.gather(own_SD, own, num_texts=num_texts).requires_grad_()
    value = loss(text_UD)
    value.backward()  # type: ignore[no-untyped-call]  # torch declares no types here
    if text_UD.grad is None:
        raise RuntimeError("train: expected a loss that depends on the embeddings, got one without a gradient.")
    gradient_UD = text_UD.grad * scale
    for chunk in reversed(chunks.texts):  # as one graph over all chunks would
        part = parts.pop()
        if not part.requires_grad:
            part = embed(chunk)
        part.backward(gradient_UD[upload(torch.tensor(chunk), device)])  # type: ignore[no-untyped-call]  # as above
    return value.item()
