"""PipelineConfig: all settings of a pipeline. The schema of the YAML files, and the form in the Prefect UI."""

import os
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import Field, ValidationError, model_validator

from tasks.denoise.config import DenoiseConfig
from tasks.engine.step import Settings
from tasks.evaluate.config import EvaluateConfig
from tasks.ingest.config import IngestConfig
from tasks.languages import LANGUAGES, Language
from tasks.models.texts import DocumentText
from tasks.plan_batches.config import PlanBatchesConfig
from tasks.retrieve.config import EncoderConfig, RetrieveConfig
from tasks.supplement.config import SupplementConfig
from tasks.train.config import TrainConfig

S = TypeVar("S", bound=Settings)


class StorageConfig(Settings):
    """Where datasets are kept."""

    root: str = Field(
        default="data",
        description="A folder or an fsspec URL (s3://bucket/prefix); ${NAME} is read from the environment.",
    )

    @property
    def location(self) -> str:
        """The root as every process sees it: variables filled in, a local folder absolute."""
        root = os.path.expandvars(self.root).rstrip("/")
        return root if "://" in root else str(Path(root).expanduser().absolute())


class ResourcesConfig(Settings):
    """What a run may use. Nothing here changes a result, so nothing here makes anything run again."""

    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", description="auto: CUDA where there is one.")
    batch_tokens: int = Field(default=2048, ge=256, description="Tokens per inference batch, padding included.")


class TextConfig(Settings):
    """What every stage takes for a query's and a document's text."""

    document: DocumentText = Field(default="title_and_text", description="What of a document is read.")
    max_query_tokens: int = Field(default=64, ge=4, description="Queries are cut here, special tokens included.")
    max_document_tokens: int = Field(default=256, ge=4, description="Documents are cut here.")


class PipelineConfig(Settings):
    """One pipeline: from raw corpora to a measured retriever."""

    name: str = Field(default="polyloom", description="Name of the pipeline, for people.")
    languages: tuple[Language, ...] = Field(min_length=1, description="BCP 47 tags: en, pt-BR, zh-Hant.")
    storage: StorageConfig = StorageConfig()
    resources: ResourcesConfig = ResourcesConfig()
    text: TextConfig = TextConfig()
    ingest: IngestConfig = IngestConfig()
    encoder: EncoderConfig = EncoderConfig()
    retrieve: RetrieveConfig = RetrieveConfig()
    denoise: DenoiseConfig = DenoiseConfig()
    supplement: SupplementConfig = SupplementConfig()
    plan_batches: PlanBatchesConfig = PlanBatchesConfig()
    train: TrainConfig = TrainConfig()
    evaluate: EvaluateConfig = EvaluateConfig()

    @property
    def ignores_own_document(self) -> bool:
        """Whether a document with the query's own id is neither a candidate nor a hit."""
        chosen = self.evaluate.ignore_own_document
        return self.ingest.layout == "beir" if chosen is None else chosen

    def own_document_arguments(self) -> dict[str, bool]:
        """Return what a step that ranks documents takes besides; nothing where every document counts."""
        return {"ignore_own_document": True} if self.ignores_own_document else {}

    @model_validator(mode="after")
    def _check_languages(self) -> "PipelineConfig":
        if len(set(self.languages)) != len(self.languages):
            raise ValueError(f"expected each language once, got {', '.join(self.languages)}. Remove the repeated one.")
        if unknown := sorted({*self.languages} - {*LANGUAGES} if self.ingest.layout == "atlas" else []):
            raise ValueError(
                f"languages: expected {', '.join(LANGUAGES)} for the sample atlas, got {', '.join(unknown)}. For files "
                "of your own set ingest.layout."
            )
        return self

    @model_validator(mode="after")
    def _ranks_as_deep_as_it_measures(self) -> "PipelineConfig":
        cutoff, metric = self.evaluate.largest_cutoff()
        depths = {"evaluate.depth": self.evaluate.depth, "retrieve.search.depth": self.retrieve.search.depth}
        for name, depth in depths.items():
            if depth < cutoff:
                raise ValueError(
                    f"{name}: expected at least {cutoff}, the cut-off of {metric} in evaluate.metrics, got {depth}. "
                    f"Raise {name}, or measure less deep."
                )
        return self


class ConfigError(ValueError):
    """A configuration that cannot be used; the text says where and why."""


def load_config(path: Path, overrides: tuple[str, ...] = ()) -> PipelineConfig:
    """Read a configuration; `Raises` as `read_settings`.

    Args:
        path: a YAML file.
        overrides: `stage.key=value` each; the value is YAML.
    """
    return read_settings(path, PipelineConfig, example="configs/quickstart.yaml", overrides=overrides)


def read_settings(path: Path, model: type[S], *, example: str, overrides: tuple[str, ...] = ()) -> S:
    """Read settings of some class from a YAML file.

    Args:
        path: the file.
        model: the class.
        example: a file with such settings, for the error texts.
        overrides: `stage.key=value` each; the value is YAML.

    Raises:
        ConfigError: no such file, not YAML, an unknown key or a value out of range; names each.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: expected a YAML file, got none. Try {example}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: expected YAML in UTF-8, got: {error}. Mend the file.") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected settings by name, got {type(content).__name__}. See {example}.")
    for override in overrides:
        _apply(content, override)
    try:
        return model.model_validate(content)
    except ValidationError as error:
        lines = [f"  {'.'.join(map(str, one['loc']))}: {one['msg']} (got {one['input']!r})" for one in error.errors()]
        raise ConfigError("\n".join([f"{path}: expected valid settings, got {len(lines)} wrong:", *lines])) from error


def _apply(content: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    names = key.strip().split(".")
    if not equals or not all(names):
        raise ConfigError(f"--set: expected stage.key=value, got '{override}'. Write e.g. --set plan_batches.seed=7.")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {key}: expected a YAML value, got '{text}' ({error}). Quote it.") from error
    place = content
    for name in names[:-1]:
        inner = place.get(name)
        if inner is None:
            inner = place[name] = {}
        if not isinstance(inner, dict):
            raise ConfigError(f"--set {key}: expected '{name}' to hold settings, got {inner!r}. Check the key.")
        place = inner
    place[names[-1]] = value
