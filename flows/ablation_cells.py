"""Grid: variants of one configuration, each with several seeds, as a YAML file describes them."""

from pathlib import Path

import yaml
from pydantic import Field, ValidationError, model_validator

from flows.configs import ConfigError, PipelineConfig, load_config
from tasks.engine.step import Settings


class Grid(Settings):
    """What an ablation varies."""

    config: str = Field(description="Settings of the full method; a path relative to the grid's file.")
    set: tuple[str, ...] = Field(default=(), description="Settings of all variants: stage.key=value each.")
    seeds: tuple[int, ...] = Field(default=(13,), min_length=1, description="Each variant is trained once per seed.")
    seed_settings: tuple[str, ...] = Field(
        default=("plan_batches.seed", "train.seed"), description="What a seed sets. Stages before them are shared."
    )
    reference: str = Field(description="The variant that the others are compared with.")
    variants: dict[str, tuple[str, ...]] = Field(description="Name -> what it sets, beside the full method's settings.")

    @model_validator(mode="after")
    def _has_its_reference(self) -> "Grid":
        if self.reference not in self.variants:
            raise ValueError(
                f"expected the reference among {', '.join(self.variants)}, got '{self.reference}'. Name one of these."
            )
        return self


class Cell(Settings):
    """One variant with one seed: a pipeline."""

    variant: str
    seed: int
    config: PipelineConfig

    def __str__(self) -> str:
        return f"{self.variant}, seed {self.seed}"


def load_grid(path: Path) -> Grid:
    """Read a grid.

    Raises:
        ConfigError: no such file, not YAML, or wrong settings; names each.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return Grid.model_validate(content)
    except FileNotFoundError as error:
        raise ConfigError(
            f"{path}: expected a grid's YAML file, got none. See benchmarks/ablation/grid.yaml."
        ) from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: expected YAML, got: {error}. Mend the file.") from error
    except ValidationError as error:
        lines = [f"  {'.'.join(map(str, one['loc']))}: {one['msg']} (got {one['input']!r})" for one in error.errors()]
        raise ConfigError("\n".join([f"{path}: expected a valid grid, got {len(lines)} wrong:", *lines])) from error


def list_cells(
    grid: Grid,
    path: Path,
    *,
    overrides: tuple[str, ...] = (),
    variants: tuple[str, ...] = (),
    seeds: tuple[int, ...] = (),
) -> list[Cell]:
    """List a grid's pipelines, seed by seed, so that a first seed of all variants is done first.

    Args:
        grid: the grid.
        path: its file.
        overrides: further settings of all variants.
        variants: only these; empty = all.
        seeds: only these; empty = all.

    Raises:
        ConfigError: a wrong setting, or a variant or seed that the grid does not have.
    """
    for what, wanted, known in (("--variant", variants, tuple(grid.variants)), ("--seed", seeds, grid.seeds)):
        if unknown := set(wanted) - set(known):
            raise ConfigError(
                f"{what}: expected one of {', '.join(map(str, known))}, got '{sorted(map(str, unknown))[0]}'. Name "
                f"one of {path}."
            )
    base = path.parent / grid.config
    return [
        Cell(
            variant=name,
            seed=seed,
            config=load_config(
                base, (*grid.set, *settings, *(f"{key}={seed}" for key in grid.seed_settings), *overrides)
            ),
        )
        for seed in grid.seeds
        if not seeds or seed in seeds
        for name, settings in grid.variants.items()
        if not variants or name in variants
    ]
