"""What changes while training goes on, and what a checkpoint of it holds."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tasks.train.checkpoint import Checkpoint
from tasks.train.workers import ALONE, Workers

_BETAS, _EPSILON = (0.9, 0.999), 1e-8  # AdamW's own
_MOMENTS = ("step", "exp_avg", "exp_avg_sq")
_LEAST_TEMPERATURE = 1e-3  # below this, float32 cosines make noise of the loss
_START_SCALE, _GROWTH_STEPS = 65_536.0, 2000  # as torch's own GradScaler


@dataclass
class LossScale:
    """Multiplies the gradients that go through a float16 network; 1 and fixed for other types.

    Halved when a gradient overflows (the step is then left out), doubled after many steps without an overflow.
    """

    value: float
    good_steps: int = 0

    @classmethod
    def for_type(cls, dtype: torch.dtype) -> "LossScale":
        """Return the scale to start with."""
        return cls(_START_SCALE if dtype == torch.float16 else 1.0)

    @property
    def can_fall(self) -> bool:
        """Whether an overflow may be the scale's fault."""
        return self.value > 1

    def update(self, *, overflowed: bool) -> None:
        """Take note of a step of float16."""
        if overflowed:
            self.value, self.good_steps = self.value / 2, 0
            return
        self.good_steps += 1
        if self.good_steps == _GROWTH_STEPS:
            self.value, self.good_steps = self.value * 2, 0


class TrainingState:
    """The weights in training with their optimizer, the temperature, and what is known of each step so far.

    Steps' losses, gradient norms and temperatures; validations and the weights of the best one; the loss scale.
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        temperature: float = 1.0,
        learn_temperature: bool = False,
        weight_decay: float = 0.01,
        max_gradient_norm: float | None = 1.0,
        loss_scale: LossScale | None = None,
        workers: Workers = ALONE,
    ) -> None:
        self.parameters = {name: value for name, value in module.named_parameters() if value.requires_grad}
        device = next(iter(self.parameters.values())).device
        self.log_temperature = nn.Parameter(torch.tensor(math.log(temperature), device=device))
        self.fixed_temperature = None if learn_temperature else temperature
        self.loss_scale = loss_scale or LossScale(1.0)
        self.workers = workers
        self.max_gradient_norm = max_gradient_norm
        undecayed = _undecayed(module)
        groups = [
            {"params": [p for p in self.parameters.values() if id(p) not in undecayed], "weight_decay": weight_decay},
            {"params": [p for p in self.parameters.values() if id(p) in undecayed], "weight_decay": 0.0},
            {"params": [self.log_temperature], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=0.0, betas=_BETAS, eps=_EPSILON, fused=True)
        self.losses: list[float] = []
        self.gradient_norms: list[float] = []
        self.temperatures: list[float] = []
        self.validations: dict[int, float] = {}  # by number of steps done
        self.best: dict[str, Tensor] = {}

    @property
    def num_done(self) -> int:
        """Steps done."""
        return len(self.losses)

    @property
    def temperature(self) -> float | Tensor:
        """What the cosines are divided by: a number, or a tensor that gets a gradient."""
        return self.log_temperature.exp() if self.fixed_temperature is None else self.fixed_temperature

    def take_step(
        self, loss: float, *, learning_rate: float, temperature_rate: float = 0.0, mean_weight: float = 1.0
    ) -> float:
        """Take one optimizer step along the gradients that are there, clear them, and log the step.

        The gradient is shortened to `max_gradient_norm` as if the step's weights had mean 1, and counts by their mean:
        else shortening would take out of a batch of one language what all its weights have in common. Dividing the
        loss by the mean, shortening to c and multiplying by the mean is the same as shortening to c times the mean.

        Args:
            loss: that the gradients are of. Where it or their norm is not finite, the weights are left as they are.
            learning_rate: of this step.
            temperature_rate: learning rate of the temperature's logarithm.
            mean_weight: of the step's samples, over all processes; 1 where weights do not scale the loss.

        Returns:
            The norm of the network's gradients before they were shortened; infinite where it is not a number.
        """
        norm = torch.nn.utils.get_total_norm(self._shared_gradients())
        fixed = self.fixed_temperature
        self.temperatures.append(self.log_temperature.detach().exp().item() if fixed is None else fixed)
        if math.isfinite(loss) and bool(norm.isfinite()):
            if self.max_gradient_norm is not None:
                longest = self.max_gradient_norm * mean_weight
                torch.nn.utils.clip_grads_with_norm_(self.parameters.values(), longest, norm)
            rates = (learning_rate, learning_rate, temperature_rate)
            for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
                group["lr"] = rate
            self.optimizer.step()
            with torch.no_grad():
                self.log_temperature.clamp_(min=math.log(_LEAST_TEMPERATURE))
        self.optimizer.zero_grad()
        self.losses.append(loss)
        self.gradient_norms.append(float(norm) if norm.isfinite() else math.inf)
        return self.gradient_norms[-1]

    def _shared_gradients(self) -> list[Tensor]:
        """Add up the gradients of all processes, and take the loss scale out of them."""
        if self.log_temperature.grad is not None:
            self.log_temperature.grad /= self.workers.size  # each process has the whole of it
        self.workers.sum_gradients([*self.parameters.values(), self.log_temperature])
        gradients = [value.grad for value in self.parameters.values() if value.grad is not None]
        if self.loss_scale.value != 1:
            torch._foreach_mul_(gradients, 1 / self.loss_scale.value)
        return gradients

    def add_validation(self, value: float) -> None:
        """Note a validation of the weights as they are, and keep them if it is the best so far, first of equals."""
        if value > max(self.validations.values(), default=-math.inf):
            self.best = {name: _copy(value) for name, value in self.parameters.items()}
        self.validations[self.num_done] = value

    def validations_since_best(self) -> int:
        """Count the validations after the best one."""
        values = list(self.validations.values())
        return len(values) - 1 - values.index(max(values)) if values else 0

    def use_best(self) -> None:
        """Go back to the weights of the best validation; nothing happens where there was none."""
        with torch.no_grad():
            for name, value in self.best.items():
                self.parameters[name].copy_(value)

    def checkpoint(self) -> Checkpoint:
        """Return a copy of the state, on the CPU, which training does not change."""
        tensors = {f"best/{name}": value for name, value in self.best.items()}
        for name, value in self._trained():
            tensors[f"weight/{name}"] = _copy(value)
            for moment, tensor in self.optimizer.state[value].items():
                tensors[f"{moment}/{name}"] = _copy(tensor)
        numbers = {
            "loss": self.losses,
            "gradient_norm": self.gradient_norms,
            "temperature": self.temperatures,
            "validation": [number for pair in self.validations.items() for number in pair],
            "loss_scale": [self.loss_scale.value, self.loss_scale.good_steps],
        }
        tensors |= {name: torch.tensor(values, dtype=torch.float64) for name, values in numbers.items()}
        return Checkpoint(self.num_done, tensors)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go back to a state that `checkpoint` returned."""
        tensors = checkpoint.tensors
        with torch.no_grad():
            for name, value in self._trained():
                value.copy_(tensors[f"weight/{name}"])
                if f"step/{name}" in tensors:
                    self.optimizer.state[value] = {
                        moment: tensors[f"{moment}/{name}"].to(value.device) for moment in _MOMENTS
                    }
        self.losses = tensors["loss"].tolist()
        self.gradient_norms = tensors["gradient_norm"].tolist()
        self.temperatures = tensors["temperature"].tolist()
        self.validations = {int(step): value for step, value in tensors["validation"].reshape(-1, 2).tolist()}
        self.best = {name[5:]: value for name, value in tensors.items() if name.startswith("best/")}
        scale, good_steps = tensors["loss_scale"].tolist()
        self.loss_scale.value, self.loss_scale.good_steps = scale, int(good_steps)

    def _trained(self) -> list[tuple[str, nn.Parameter]]:
        return [*self.parameters.items(), ("log_temperature", self.log_temperature)]


def _copy(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", copy=True)


def _undecayed(module: nn.Module) -> set[int]:
    """Biases, norms and embeddings. A row of the embedding that no text uses must stay as it is."""

    def own(kind: type[nn.Module]) -> Iterable[Tensor]:
        return (p for part in module.modules() if isinstance(part, kind) for p in part.parameters(recurse=False))

    small = (p for p in module.parameters() if p.ndim < 2)
    return {id(p) for p in [*small, *own(nn.Embedding)]}
