"""Settings of the systems that are measured beside those of every pipeline: `evaluate.systems`."""

from typing import Self

from pydantic import Field, model_validator

from tasks.retrieve.config import RESERVED, EnsembleEncoder, FuseConfig, Fusion


class MeasuredSystem(EnsembleEncoder, Fusion):
    """A further system to measure: an encoder (`model`), ranked lists (`run`), or other systems fused (`fuse`)."""

    model: str = Field(
        default="", description="An encoder, as the base encoder's; its options are a member's of retrieve.ensemble."
    )
    run: str = Field(
        default="",
        description="Pattern of TREC run files of the dev queries, with {language}, gzipped or not; read as trec_eval "
        "does: by score, equal ones by id backwards.",
    )
    fuse: tuple[str, ...] = Field(
        default=(), description="Systems to fuse, of bm25, untrained, trained and those before it in the list."
    )

    @model_validator(mode="after")
    def _of_one_kind(self) -> Self:
        options = {"model": EnsembleEncoder.model_fields, "run": {}, "fuse": Fusion.model_fields}
        kinds = [kind for kind in options if getattr(self, kind)]
        if len(kinds) != 1:
            raise ValueError(
                f"expected one of {', '.join(options)} for '{self.name}', got "
                f"{' and '.join(kinds) or 'none'}. Name one."
            )
        known = {"name", kinds[0], *options[kinds[0]]}
        given = {
            name
            for name, field in type(self).model_fields.items()
            if getattr(self, name) != field.get_default(call_default_factory=True)
        }
        if foreign := sorted(given - known):
            raise ValueError(
                f"expected settings of a `{kinds[0]}` for '{self.name}', got {', '.join(foreign)}. Remove them."
            )
        return self

    def encoder(self) -> EnsembleEncoder:
        """Return the encoder, as if it were one of the ensemble: what embeds the same is built once."""
        return EnsembleEncoder(**{name: getattr(self, name) for name in EnsembleEncoder.model_fields})

    def fusion(self, depth: int) -> FuseConfig:
        """Return how the systems are fused, into ranked lists of this depth."""
        return FuseConfig(**{name: getattr(self, name) for name in Fusion.model_fields}, top_k=depth)


def check_systems(systems: tuple[MeasuredSystem, ...]) -> tuple[MeasuredSystem, ...]:
    """See that every system has a name of its own, and fuses what can be fused.

    Raises:
        ValueError: one does not; names it.
    """
    known, encoders = list(RESERVED), {*RESERVED} - {"bm25"}
    for place, one in enumerate(systems):
        if one.name in [*RESERVED, *(other.name for other in systems[:place])]:
            raise ValueError(
                f"evaluate.systems: expected a name that no other system has, got '{one.name}'. Rename it."
            )
        if unknown := sorted({*one.fuse} - {*known}) or sorted({*one.weights} - {*one.fuse}):
            allowed = known if {*unknown} & {*one.fuse} else one.fuse
            raise ValueError(
                f"evaluate.systems: expected '{one.name}' to fuse and weigh systems of {', '.join(allowed)}, got "
                f"{', '.join(unknown)}. Correct the name, or list that system before it."
            )
        if one.fuse and one.method == "concat" and not encoders & {*one.fuse}:
            raise ValueError(
                f"evaluate.systems: expected an encoder among what '{one.name}' fuses by concat, got "
                f"{', '.join(one.fuse)}. Choose z_score or rrf."
            )
        known += [] if one.fuse else [one.name]
        encoders |= {one.name} if one.model else set()
    return systems
