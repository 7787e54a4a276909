"""The last layers of an encoder, apart from it: copied, trained, stored, and put in for the encoder's own."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import nn

from tasks.models.encoder import Encoder

LAYERS_FILE = "layers.safetensors"


def copy_top_layers(encoder: Encoder, number: int) -> nn.ModuleList:
    """Copy the last `number` layers, or all if it has fewer; the encoder is no longer tied to the copy."""
    copied = copy.deepcopy(_stack(encoder)[-number:])
    return copied.float().requires_grad_(True)


@contextmanager
def put_in(encoder: Encoder, layers: nn.ModuleList) -> Iterator[None]:
    """Let the encoder compute with `layers` in place of its last ones, until the end of the `with`."""
    stack = _stack(encoder)
    places = range(len(stack) - len(layers), len(stack))
    own = [stack[place] for place in places]
    try:
        for place, layer in zip(places, layers, strict=True):
            stack[place] = layer
        yield
    finally:
        for place, layer in zip(places, own, strict=True):
            stack[place] = layer


def save_layers(layers: nn.ModuleList, folder: Path) -> None:
    """Write the layers' weights; the same weights give the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: weight.contiguous() for name, weight in layers.state_dict().items()}, folder / LAYERS_FILE)


def load_layers(encoder: Encoder, folder: Path) -> nn.ModuleList | None:
    """Return what `save_layers` wrote, None where nothing was.

    Args:
        encoder: that the layers were copied from.
        folder: perhaps without the file.

    Raises:
        RuntimeError: the layers are another encoder's.
    """
    if not (folder / LAYERS_FILE).exists():
        return None
    weights = load_file(folder / LAYERS_FILE, device=str(encoder.backbone.device))
    layers = copy_top_layers(encoder, len({name.partition(".")[0] for name in weights}))
    layers.load_state_dict(weights)
    return layers.requires_grad_(False)


def _stack(encoder: Encoder) -> nn.ModuleList:
    """The network's layers: its longest list of modules, whatever the architecture calls it."""
    lists = [module for module in encoder.backbone.modules() if isinstance(module, nn.ModuleList)]
    if not lists:
        raise ValueError(
            f"{encoder.folder}: expected a network that is a list of layers, got {type(encoder.backbone).__name__}. "
            "Set denoise.fit.tuned_layers to 0."
        )
    return max(lists, key=len)
