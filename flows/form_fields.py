"""The fields of the deployments' forms: dropdowns of what there is, and what they say as settings."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field, WithJsonSchema

from flows.ablation_variants import SeededVariant, list_variants, load_ablation
from flows.configs import PipelineConfig, load_config
from flows.run.form import check_place
from flows.run.pipeline import STAGES
from flows.settings_errors import setting_names
from flows.settings_file import ConfigError
from flows.weave_bake_off import STRATEGIES
from tasks.engine.step import Settings

CONFIGS, ABLATIONS = Path("configs"), Path("benchmarks/ablation")  # in the deployment's folder


def _one_of(names: Iterable[str]) -> WithJsonSchema:
    """Make a dropdown of names. What a run then takes is for the run to check, which says it in a line."""
    names = list(names)
    return WithJsonSchema({"type": "string", **({"enum": names} if names else {})})


def _files(folder: Path, *, ablations: bool) -> list[str]:
    """List the files of settings, as they are when the form is made."""
    texts = {str(path): path.read_text(encoding="utf-8", errors="replace") for path in sorted(folder.glob("*.yaml"))}
    return [name for name, text in texts.items() if ("\nvariants:" in text) == ablations]


Config = Annotated[str, _one_of(_files(CONFIGS, ablations=False))]
AblationFile = Annotated[str, _one_of(_files(ABLATIONS, ablations=True))]
Stage = Annotated[str, _one_of(STAGES)]
Strategy = Annotated[str, _one_of(STRATEGIES)]


class Change(Settings):
    """One changed setting."""

    # Postgres keeps no order of names: the form has that of the positions.
    setting: Annotated[str, _one_of(setting_names(PipelineConfig))] = Field(
        description="stage.key", json_schema_extra={"position": 0}
    )
    value: str = Field(description="As in a file of settings: 7, true, [en, fi].", json_schema_extra={"position": 1})

    def __str__(self) -> str:
        return f"{self.setting}={self.value}"


def read_form(config: str, path: str, changes: Sequence[Change]) -> PipelineConfig:
    """Read the settings that a form means; `check_form` is still to hold them.

    Args:
        config: a file of the dropdown.
        path: another file, in its place if it is not empty.
        changes: what is different from the file.

    Raises:
        ConfigError: as `load_config`; a wrong row is named without the file. Or the file is not the form's to read.
    """
    file = _chosen(config, path)
    try:
        return load_config(file, tuple(map(str, changes)))
    except ConfigError as error:
        said = str(error).removeprefix(f"{file}: ")
        if any(said.startswith(row.setting.partition(".")[0]) for row in changes):  # the row's fault, not the file's
            raise ConfigError(said) from error
        raise


def read_ablation_form(config: str, path: str, changes: Sequence[Change]) -> tuple[list[SeededVariant], str]:
    """Read the pipelines that a form of the ablation means, and the name of the one they are compared with.

    Raises:
        ConfigError: as `load_ablation` and `list_variants`; or a file is not the form's to read.
    """
    file = _chosen(config, path)
    settings = load_ablation(file)
    check_place("config", os.path.realpath(file.parent / settings.config))
    return list_variants(settings, file, overrides=tuple(map(str, changes))), settings.reference


def _chosen(config: str, path: str) -> Path:
    file = path.strip() or config
    check_place("path" if path.strip() else "config", file)
    return Path(file)
