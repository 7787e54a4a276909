"""What a Promise is called where people read: in logs, beside bars and in the Prefect UI."""

from storage.telling import Telling, tell
from tasks.engine.step import Promise


def told(promise: Promise, *, by_model: bool = True) -> Telling:
    """Tell what its dataset is; without the names of models as `storage.telling.tell_stored` will, once it is built."""
    model = getattr(promise.arguments.get("config"), "model", "") if by_model else ""  # a dataset is not known by it

    def inputs(name: str) -> list[Telling]:
        return [
            told(one, by_model=by_model) for key, one in promise.inputs.items() if name in (key, key.partition(".")[0])
        ]

    return tell(promise.step.produces, {**promise.settings, "model": model}, inputs)


def called(promise: Promise) -> str:
    """Name what it promises in words: `candidates of sw (untrained, dev)`."""
    return told(promise).of(promise.partition)


def label(promise: Promise) -> str:
    """Name the step and what it is for: `search_dense-sw untrained dev`."""
    one = told(promise)
    words = one.words if one.kind == "encoder" else one._replace(role="").words  # else the step's name says it
    return " ".join([f"{promise.step.name}-{promise.partition}", *words])
