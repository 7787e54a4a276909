"""Steps whose bodies stand in a test."""

from collections.abc import Callable

from tasks.engine.step import Resource, Step


def declare(
    *, produces: str, resource: Resource = "cpu", sharded: bool = False, texts: tuple[str, ...] = ()
) -> Callable[[Callable[..., None]], Step]:
    """Declare the decorated function as a step's body."""

    def declared(body: Callable[..., None]) -> Step:
        found = Step(f"{body.__module__}:{body.__name__}", produces, resource, sharded, texts)
        found.__dict__["body"] = body  # the module's name is now the Step's
        return found

    return declared
