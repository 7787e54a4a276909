"""The folders that a training reads, how they are written on a command line, and the name of the training."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from tasks.train.folders import identity


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The folders that a training reads; each is a dataset's."""

    plan: tuple[Path, ...]
    """One folder, as is `encoder`."""
    tokens: tuple[Path, ...]
    encoder: tuple[Path, ...]
    validation_tokens: tuple[Path, ...] = ()
    """Held-out queries, and the documents among which theirs are to be found."""
    validation_qrels: tuple[Path, ...] = ()
    teacher: tuple[Path, ...] = ()
    """The cross-encoder's `scores`."""

    def identity(self, recipe: Mapping[str, Any]) -> str:
        """Name the training of these inputs by this recipe, wherever the folders lie."""
        return identity((folder for folders in self.named().values() for folder in folders), recipe)

    def named(self) -> dict[str, tuple[Path, ...]]:
        """Return the folders by their option of `tasks.train.launch`, such as `validation-tokens`."""
        return {field.name.replace("_", "-"): getattr(self, field.name) for field in fields(self)}

    def arguments(self) -> list[str]:
        """Write the options of `tasks.train.launch`."""
        return [text for name, folders in self.named().items() if folders for text in (f"--{name}", *map(str, folders))]
