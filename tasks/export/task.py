"""Last stage: trained encoder and its results -> the model that people use, with its card."""

from collections.abc import Iterable
from typing import Any

import polars as pl

from storage import DatasetRef, Manifest, count, folder, inspect, load, read
from tasks.engine.job import Job
from tasks.export import card
from tasks.models import layout

_VERSIONS = ("polyloom", "torch", "transformers", "tokenizers")
_CARD_STEPS = {"train_encoder": "train", "plan_batches": "plan_batches"}


def export_model(
    job: Job, *, trained: DatasetRef, metrics: dict[str, DatasetRef], name: str, base_model: str | None
) -> None:
    """Put the trained model, its sentence-transformers files and a model card into one folder."""
    facts = _facts(trained, metrics, name, base_model)
    columns = ("name", "base_model", "num_layers", "hidden_size", "num_parameters", "num_steps")
    row = {column: getattr(facts, column) for column in columns} | {"base_model": base_model or ""}
    job.out.write(pl.DataFrame([row | {"languages": [entry["language"] for entry in facts.data]}]))
    job.out.adopt(trained, "model")
    written = job.scratch / "card"
    written.mkdir(exist_ok=True)
    (written / "README.md").write_text(card.write_card(facts), encoding="utf-8")
    job.out.add_folder(written, "model")


def _facts(trained: DatasetRef, metrics: dict[str, DatasetRef], name: str, base_model: str | None) -> card.CardFacts:
    """Collect what the card says out of the manifests of all that the model was made from."""
    ancestors = inspect.lineage(trained)
    manifests = [manifest for _, _, manifest in ancestors if not isinstance(manifest, str)]
    model = folder(trained) / "model"
    base = read(_input(trained, "encoder")).row(0, named=True)
    return card.CardFacts(
        name=name,
        base_model=base_model,
        num_layers=base["num_layers"],
        hidden_size=base["hidden_size"],
        num_parameters=base["num_parameters"],
        pooling=layout.read_pooling(model),
        prompts=dict(layout.read_prompts(model).items()),
        max_tokens=layout.read_max_tokens(model),
        data=_data(trained, manifests),
        num_steps=count(trained),
        settings=_settings(manifests),
        metrics=[row for ref in metrics.values() for row in inspect.metrics_means(ref)],
        ignores_own_document=any(manifest.arguments.get("ignore_own_document") for manifest in manifests),
        lineage=[(depth, _line(entry, manifest)) for depth, entry, manifest in ancestors],
        versions={name: version for name, version in load(trained).versions.items() if name in _VERSIONS},
    )


def _settings(manifests: Iterable[Manifest]) -> dict[str, dict[str, Any]]:
    """Collect the settings of training and plan; the number of topics is an argument of the step that finds them."""
    arguments = {manifest.step: manifest.arguments for manifest in manifests}
    settings = {_CARD_STEPS[step]: dict(given["config"]) for step, given in arguments.items() if step in _CARD_STEPS}
    if "find_topics" in arguments:
        settings.setdefault("plan_batches", {})["topics"] = arguments["find_topics"]["num_topics"]
    return settings


def _data(trained: DatasetRef, manifests: Iterable[Manifest]) -> list[dict[str, Any]]:
    languages: dict[str, dict[str, Manifest]] = {}
    for manifest in manifests:
        if manifest.kind == "corpus" or (manifest.kind in ("queries", "qrels") and _of_train(manifest)):
            languages.setdefault(manifest.partition, {})[manifest.kind] = manifest
    return [
        {
            "language": language,
            "documents": by_kind["corpus"].rows,
            "train_queries": by_kind["queries"].rows,
            "judgements": by_kind["qrels"].rows,
            "source": "atlas, generated" if by_kind["corpus"].step == "generate_corpus" else "files",
        }
        for language, by_kind in sorted(languages.items())
    ]


def _of_train(manifest: Manifest) -> bool:
    return manifest.arguments.get("split") == "train"


def _input(ref: DatasetRef, name: str) -> DatasetRef:
    return next(_ref(ref.root, entry) for entry in load(ref).inputs if entry.name == name)


def _ref(root: str, entry: Any) -> DatasetRef:
    return DatasetRef(kind=entry.kind, partition=entry.partition, fingerprint=entry.fingerprint, root=root)


def _line(name: str, manifest: Manifest | str) -> str:
    if isinstance(manifest, str):
        return f"{name}: {manifest}"
    return f"{name}: {manifest.kind}/{manifest.partition}/{manifest.fingerprint[:12]}, {manifest.rows:,} rows"
