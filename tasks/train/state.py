"""What a training step changes: weights, AdamW's moments and the log."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from tasks.train.checkpoint import Checkpoint

_BETAS, _EPSILON = (0.9, 0.999), 1e-8
_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


class TrainingState:
    """The weights in training with their optimizer, and each step's loss and gradient norm so far."""

    def __init__(self, module: nn.Module, *, weight_decay: float) -> None:
        self.parameters = {name: value for name, value in module.named_parameters() if value.requires_grad}
        undecayed = _undecayed(module)
        groups = [
            {"params": [p for p in self.parameters.values() if id(p) not in undecayed], "weight_decay": weight_decay},
            {"params": [p for p in self.parameters.values() if id(p) in undecayed], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=0.0, betas=_BETAS, eps=_EPSILON, fused=True)
        self.losses: list[float] = []
        self.gradient_norms: list[float] = []

    @property
    def num_done(self) -> int:
        """Steps done."""
        return len(self.losses)

    def take_step(self, loss: float, *, learning_rate: float, max_gradient_norm: float | None) -> float:
        """Take one optimizer step along the gradients that are there, clear them, and log the step.

        Args:
            loss: that the gradients are of. Where it or their norm is not finite, the weights are left as they are.
            learning_rate: of this step.
            max_gradient_norm: longer gradients are shortened to this; None leaves them.

        Returns:
            The gradients' norm before that.
        """
        gradients = [value.grad for value in self.parameters.values() if value.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        if math.isfinite(loss) and bool(norm.isfinite()):
            if max_gradient_norm is not None:
                torch.nn.utils.clip_grads_with_norm_(self.parameters.values(), max_gradient_norm, norm)
            for group in self.optimizer.param_groups:
                group["lr"] = learning_rate
            self.optimizer.step()
        self.optimizer.zero_grad()
        self.losses.append(loss)
        self.gradient_norms.append(float(norm))
        return float(norm)

    def checkpoint(self) -> Checkpoint:
        """Return the state; its tensors are those in training, not copies."""
        tensors = {f"weight/{name}": value.detach() for name, value in self.parameters.items()}
        for name, value in self.parameters.items():
            for moment, tensor in self.optimizer.state[value].items():
                tensors[f"{moment}/{name}"] = tensor
        tensors["loss"] = torch.tensor(self.losses)
        tensors["gradient_norm"] = torch.tensor(self.gradient_norms)
        return Checkpoint(self.num_done, tensors)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go back to a state that `checkpoint` returned."""
        tensors = checkpoint.tensors
        with torch.no_grad():
            for name, value in self.parameters.items():
                value.copy_(tensors[f"weight/{name}"])
                if f"step/{name}" in tensors:
                    self.optimizer.state[value] = {
                        moment: tensors[f"{moment}/{name}"].to(value.device) for moment in _MOMENTS
                    }
        self.losses = tensors["loss"].tolist()
        self.gradient_norms = tensors["gradient_norm"].tolist()


def _undecayed(module: nn.Module) -> set[int]:
    """Biases, norms and embeddings. A row of the embedding that no text uses must stay as it is."""

    def own(kind: type[nn.Module]) -> Iterable[Tensor]:
        return (p for part in module.modules() if isinstance(part, kind) for p in part.parameters(recurse=False))

    small = (p for p in module.parameters() if p.ndim < 2)
    return {id(p) for p in [*small, *own(nn.Embedding)]}
