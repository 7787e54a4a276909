"""An ablation: variants of one configuration, each with several seeds, and what their pipelines have measured."""

from pathlib import Path
from typing import Any

import polars as pl
from pydantic import Field, model_validator

from flows.configs import PipelineConfig, load_config
from flows.settings_file import ConfigError, read_content, validate
from flows.weave import weave
from storage import scan
from tasks.engine.build import state
from tasks.engine.step import Settings, deferred

significance = deferred("tasks.evaluate.significance")  # loads scipy

SYSTEM = "trained"
_EXAMPLE = "benchmarks/ablation/atlas.yaml"  # needs no data


class Ablation(Settings):
    """What an ablation varies."""

    config: str = Field(description="Settings of the full method; a path relative to the ablation's file.")
    set: tuple[str, ...] = Field(default=(), description="Settings of all variants: stage.key=value each.")
    seeds: tuple[int, ...] = Field(default=(13,), min_length=1, description="Each variant is trained once per seed.")
    seed_settings: tuple[str, ...] = Field(
        default=("plan_batches.seed", "train.seed"), description="What a seed sets. Stages before them are shared."
    )
    reference: str = Field(description="The variant that the others are compared with.")
    variants: dict[str, tuple[str, ...]] = Field(description="Name -> what it sets, beside the full method's settings.")

    @model_validator(mode="after")
    def _has_its_reference(self) -> "Ablation":
        if self.reference not in self.variants:
            raise ValueError(
                f"expected the reference among {', '.join(self.variants)}, got '{self.reference}'. Name one of these."
            )
        return self


class SeededVariant(Settings):
    """One variant with one seed: a pipeline."""

    name: str
    seed: int
    config: PipelineConfig

    def __str__(self) -> str:
        return f"{self.name}, seed {self.seed}"


def load_ablation(path: Path) -> Ablation:
    """Read an ablation.

    Raises:
        ConfigError: as `read_content` and `validate`; the file is one pipeline's.
    """
    content = read_content(path, example=_EXAMPLE)
    if "languages" in content:
        raise ConfigError(
            f"{path}: expected a configuration and its variants, got the settings of one pipeline. See {_EXAMPLE}."
        )
    return validate(path, content, Ablation)


def list_variants(
    ablation: Ablation,
    path: Path,
    *,
    overrides: tuple[str, ...] = (),
    variants: tuple[str, ...] = (),
    seeds: tuple[int, ...] = (),
) -> list[SeededVariant]:
    """List an ablation's pipelines, seed by seed, so that a first seed of all variants is done first.

    Args:
        ablation: what it varies.
        path: its file.
        overrides: further settings of all variants.
        variants: only these; empty = all.
        seeds: only these; empty = all.

    Raises:
        ConfigError: a wrong setting, or a variant or seed that the ablation does not have.
    """
    for option, chosen, known in (("--variant", variants, tuple(ablation.variants)), ("--seed", seeds, ablation.seeds)):
        if unknown := set(chosen) - set(known):
            raise ConfigError(
                f"{option}: expected one of {', '.join(map(str, known))}, got '{sorted(map(str, unknown))[0]}'. Name "
                f"one of {path}."
            )
    base = path.parent / ablation.config
    return [
        SeededVariant(
            name=name,
            seed=seed,
            config=load_config(
                base,
                (*ablation.set, *settings, *(f"{key}={seed}" for key in ablation.seed_settings), *overrides),
                variant=f"{name}, seed {seed}",
            ),
        )
        for seed in ablation.seeds
        if not seeds or seed in seeds
        for name, settings in ablation.variants.items()
        if not variants or name in variants
    ]


def missing_variants(variants: list[SeededVariant]) -> list[SeededVariant]:
    """List the pipelines of which something is not in the store."""
    return [
        variant
        for variant in variants
        if not all(state(promise, variant.config.storage.location).cached for promise in weave(variant.config).promises)
    ]


def compare(variants: list[SeededVariant], reference: str) -> list[dict[str, Any]]:
    """Compare the trained systems of some pipelines, all of which are in the store; see `compare_variants`."""
    results = {(variant.name, variant.seed): _measured(variant) for variant in variants}
    rows: list[dict[str, Any]] = significance.compare_variants(results, reference=reference)
    return rows


def means_per_variant(variants: list[SeededVariant]) -> list[dict[str, Any]]:
    """List the means of every pipeline: variant, seed, system, language, metric, value, num_queries."""
    return [
        {"variant": variant.name, "seed": variant.seed, **row}
        for variant in variants
        for row in _measured(variant).filter(pl.col("query_id") == "all").drop("query_id").to_dicts()
    ]


def _measured(variant: SeededVariant) -> pl.DataFrame:
    root = variant.config.storage.location
    metrics = [scan(promise.ref(root)) for promise in weave(variant.config).metrics]
    return pl.concat([frame.filter(pl.col("system") == SYSTEM).collect() for frame in metrics])
