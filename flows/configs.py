"""PipelineConfig: all settings of a pipeline. The schema of the YAML files, and the form in the Prefect UI."""

import contextlib
import importlib.util
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PrivateAttr, field_validator, model_validator

from flows.settings_file import ConfigError, read_content, validate
from tasks.denoise.config import DenoiseConfig
from tasks.engine.step import Settings, deferred
from tasks.evaluate.config import EvaluateConfig
from tasks.export.config import ExportConfig
from tasks.ingest.config import IngestConfig
from tasks.languages import LANGUAGES, Language
from tasks.models.texts import DocumentText
from tasks.plan_batches.config import PlanBatchesConfig
from tasks.retrieve.config import EncoderConfig, RetrieveConfig
from tasks.retrieve.systems import MeasuredSystem, check_systems
from tasks.supplement.config import SupplementConfig
from tasks.train.config import TrainConfig

torch = deferred("torch")  # only a step that runs a network needs it

# NVIDIA's driver on Linux, under WSL and on a Jetson; AMD's, which torch calls cuda too.
_DRIVERS = ("/dev/nvidiactl", "/dev/dxg", "/dev/nvmap", "/dev/kfd")
_EXAMPLE = "configs/quickstart.yaml"


class StorageConfig(Settings):
    """Where datasets are kept."""

    root: str = Field(
        default="data",
        description="A folder or an fsspec URL (s3://bucket/prefix); ${NAME} is read from the environment.",
    )
    umask: str | None = Field(
        default=None,
        pattern="^[0-7]{3,4}$",
        description="Of local files that a run writes: '0077' keeps them from other users; empty: the process's own.",
    )

    @property
    def location(self) -> str:
        """The root as every process sees it: variables filled in, a local folder absolute.

        Raises:
            ConfigError: a URL that names no place.
        """
        root = os.path.expandvars(self.root).rstrip("/")
        if root.endswith(":"):
            raise ConfigError(f"storage.root: expected a bucket or folder after {root}//, got none. Name one.")
        return root if "://" in root else str(Path(root).expanduser().absolute())

    @contextlib.contextmanager
    def private(self) -> Iterator[None]:
        """Write under the umask that is set, in this process and in those it starts."""
        before = None if self.umask is None else os.umask(int(self.umask, 8))
        try:
            yield
        finally:
            if before is not None:
                os.umask(before)


class ResourcesConfig(Settings):
    """What a run may use. Nothing here makes anything run again.

    A network computes in the dtype that its own settings name, on any device; only a number's last digits follow the
    device and the batch. Training's `precision: auto` is bf16 on a GPU, as its settings say.
    """

    device: str = Field(
        default="auto",
        description="auto: CUDA where there is one; else cpu, cuda, or one of several GPUs as cuda:1.",
    )
    batch_tokens: int | None = Field(
        default=None,
        ge=256,
        description="Tokens per inference batch, padding included. Empty: 2,048 on a CPU, 65,536 on a GPU.",
    )

    engine: Literal["threads", "processes", "ray"] = Field(
        default="threads",
        description="What embeds, scores and searches: the run's process; worker processes beside it, each on a GPU of "
        "its own; or Ray's, on the cluster of RAY_ADDRESS or else here (the extra `ray`).",
    )
    workers: int | None = Field(
        default=None,
        ge=1,
        le=1024,
        description="Of processes or ray. Empty: one for each GPU; without any, one for each 8 cores, and at least 2.",
    )

    @field_validator("device")
    @classmethod
    def _device(cls, value: str) -> str:
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", value):
            raise ValueError(
                f"resources.device: expected auto, cpu, cuda or one of several GPUs as cuda:1, got '{value}'. "
                "Name one of these."
            )
        return value

    def chosen_device(self) -> str:
        """Return the device that is meant here; `auto` loads torch to ask for a GPU."""
        return self.device if self.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"

    def batch_tokens_on(self, device: str) -> int:
        """Return the tokens of a batch on `cpu` (whose caches a small one fits) or a GPU (which a small one idles)."""
        return self.batch_tokens or (2048 if device == "cpu" else 65_536)

    def workers_on(self, num_gpus: int, num_cores: int) -> int:
        """Return how many workers there are where there are so many GPUs and cores."""
        return self.workers or num_gpus or max(2, num_cores // 8)

    def check_device(self) -> None:
        """See that there is a GPU where one is asked for; looks for its driver, since torch takes seconds to load.

        Raises:
            ValueError: there is none, or the environment hides it; or there is no Ray, where that is asked for.
        """
        if self.engine == "ray":  # the GPUs are those of its cluster
            if importlib.util.find_spec("ray") is None:
                raise ValueError(
                    "resources.engine: expected Ray to be installed, got no module of this name. Run pip install "
                    "'polyloom[ray]', or choose processes."
                )
            return
        hidden = os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1")
        there = any(map(os.path.exists, _DRIVERS)) or shutil.which("nvidia-smi") is not None
        if self.device.startswith("cuda") and (hidden or not there):
            got = "an empty CUDA_VISIBLE_DEVICES" if hidden else "none on this machine"
            raise ValueError(
                f"resources.device: expected a GPU for {self.device}, got {got}. Choose a machine with one, or set "
                "resources.device to auto."
            )


class TextConfig(Settings):
    """What every stage takes for a query's and a document's text."""

    document: DocumentText = Field(default="title_and_text", description="What of a document is read.")
    max_query_tokens: int = Field(default=64, ge=4, description="Queries are cut here, special tokens included.")
    max_document_tokens: int = Field(default=256, ge=4, description="Documents are cut here.")


class SystemsConfig(EvaluateConfig):
    """What is measured on the dev queries, and how."""

    systems: Annotated[tuple[MeasuredSystem, ...], AfterValidator(check_systems)] = Field(
        default=(),
        description="Systems to measure beside bm25, untrained and trained: encoders, TREC run files, fusions.",
    )


@dataclass(frozen=True)
class Origin:
    """Where a configuration comes from; for records alone."""

    file: str | None = None
    variant: str | None = None
    """Of an ablation."""
    overrides: tuple[str, ...] = field(default=(), compare=False)
    """What was changed: `stage.key=value` each."""


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
    evaluate: SystemsConfig = SystemsConfig()
    export: ExportConfig = ExportConfig()
    _origin: Origin = PrivateAttr(default=Origin())

    @property
    def origin(self) -> Origin:
        """The file that it was read from, if any."""
        return self._origin

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


def load_config(path: Path, overrides: tuple[str, ...] = (), variant: str | None = None) -> PipelineConfig:
    """Read a configuration.

    Args:
        path: a YAML file.
        overrides: `stage.key=value` each; the value is YAML.
        variant: the name of the overrides in an ablation, for the run's record.

    Raises:
        ConfigError: as `read_content` and `validate`; the file is an ablation's.
    """
    content = read_content(path, example=_EXAMPLE, overrides=overrides)
    if {"config", "variants"} <= content.keys():
        raise ConfigError(
            f"{path}: expected the settings of one pipeline, got an ablation. Run `polyloom ablation {path}`."
        )
    config = validate(path, content, PipelineConfig)
    config._origin = Origin(str(path), variant, overrides)
    return config
