"""What tells a dataset from others of its kind and partition: documents or queries, the system or model, the split."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from storage import manifest
from storage.manifest import DatasetRef


class Telling(NamedTuple):
    """What is told of a dataset; empty where nothing is to tell."""

    kind: str
    role: str = ""
    """`documents` or `queries`, where a kind is of either; an encoder's layers."""
    system: str = ""
    """Or a model, or a strategy."""
    split: str = ""

    @property
    def words(self) -> list[str]:
        """Name what to say: of what is made from them, only other queries than train's."""
        told = self.split if self.split != "train" or self.kind in ("queries", "qrels") else ""
        return [word for word in (self.role, self.system, told) if word]

    def of(self, partition: str) -> str:
        """Name the dataset in words: `candidates of sw (untrained, dev)`."""
        words = f" ({', '.join(self.words)})" if self.words else ""
        return f"{self.kind}{'' if partition == 'all' else f' of {partition}'}{words}"


def tell(kind: str, arguments: Mapping[str, Any], inputs: Callable[[str], Sequence[Telling]]) -> Telling:
    """Tell it from the arguments of the step that makes it.

    Args:
        kind: of dataset.
        arguments: as JSON; where the name of a model is known, with `model`.
        inputs: an argument's name -> what is told of the datasets that it names.
    """
    config = arguments.get("config")
    given = {**arguments, **(config if isinstance(config, dict) else {})}
    system = next((given[name] for name in ("system", "strategy") if isinstance(given.get(name), str)), "")
    role, split = "", given.get("split", "generated" if kind == "queries" else "")
    match kind:
        case "encoder":
            role = f"{given['num_layers']} layers" if given.get("num_layers") else ""
            system = re.split(r"[:/\\]", str(given.get("model", "")).rstrip("/"))[-1]
        case "candidates" if "analyzer" in given:
            system = "bm25"
        case "fused":
            system = " + ".join(one.system for one in inputs("candidates"))
        case "embeddings":
            system = next(
                (one.system or one.role if one.kind == "encoder" else "trained" for one in inputs("encoder")), ""
            )
    if kind in ("embeddings", "tokens"):
        role = "documents" if inputs("corpus") else "queries"
    read_for = (one.split for name in ("queries", "candidates", "named") for one in inputs(name))
    return Telling(kind, role, system, split or next(filter(None, read_for), ""))


def tell_stored(ref: DatasetRef) -> Telling:
    """Tell it of a dataset in a store, by its manifest and those of what it was made from; these may be gone."""
    content = manifest.find(ref)
    if content is None:
        return Telling(ref.kind)
    named = content.inputs

    def inputs(name: str) -> list[Telling]:
        return [tell_stored(one.ref(ref.root)) for one in named if name in (one.name, one.name.partition(".")[0])]

    return tell(ref.kind, content.arguments, inputs)
