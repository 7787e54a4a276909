"""Look at a store: which datasets it holds, and what one of them is made of."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from storage import backend, manifest
from storage.errors import DamagedDataset, MissingDataset, warn
from storage.manifest import DatasetRef, Manifest
from storage.reader import scan
from storage.schemas import SCHEMAS

_READER = re.compile(r"\b(read|scan)_\w+", re.IGNORECASE)  # SQL's own ways to files


def datasets(root: str, kind: str | None = None, partition: str | None = None) -> Iterator[tuple[DatasetRef, Manifest]]:
    """Walk the committed datasets of a store, by kind (in pipeline order), partition and age.

    A dataset whose manifest cannot be read is said and left out.
    """
    kinds = [kind] if kind else list(SCHEMAS)
    committed = []
    inner = f"/{partition}" if partition else ""
    with backend.held([f"{root}/{one_kind}{inner}" for one_kind in kinds], manifest.NAME):
        for one_kind in kinds:
            for one_partition in [partition] if partition else backend.names(f"{root}/{one_kind}"):
                committed.append(_committed(root, one_kind, one_partition))
    for found in committed:
        yield from sorted(found, key=lambda pair: pair[1].age)


def _committed(root: str, kind: str, partition: str) -> list[tuple[DatasetRef, Manifest]]:
    found = []
    for name in backend.names(f"{root}/{kind}/{partition}"):
        ref = DatasetRef(kind=kind, partition=partition, fingerprint=name, root=root)
        try:
            content = manifest.find(ref)
        except DamagedDataset as error:
            warn(str(error))
            continue
        if content is not None:
            found.append((ref, content))
    return found


def resolve(root: str, name: str) -> DatasetRef:
    """Find the dataset that a person means.

    Args:
        root: the store.
        name: `kind`, `kind/partition` (the newest of them) or `kind/partition/start-of-fingerprint`; or a path to it.

    Raises:
        MissingDataset: there is none, or several with that start.
    """
    inner = name.rstrip("/")
    if Path(inner, manifest.NAME).is_file():
        inner, root = "/".join(Path(inner).parts[-3:]), str(Path(inner).parents[2])
    kind, _, rest = inner.partition("/")
    partition, _, start = rest.partition("/")
    if kind not in SCHEMAS:
        raise MissingDataset(
            f"dataset '{name}': expected a kind of {', '.join(SCHEMAS)}, got '{kind}'. See `polyloom ls`."
        )
    refs = [ref for ref, _ in datasets(root, kind, partition or None) if ref.fingerprint.startswith(start)]
    if not refs:
        raise MissingDataset(f"dataset '{name}': expected one in '{root}', found none. See `polyloom ls`.")
    if start and len(refs) > 1:
        raise MissingDataset(
            f"dataset '{name}': expected one, got {len(refs)}: {', '.join(map(str, refs))}. Write more of its name."
        )
    return refs[-1]


def query(refs: Sequence[DatasetRef], sql: str, **named: DatasetRef) -> pl.DataFrame:
    """Run SQL on the datasets of a run: a table per kind, of all languages together, with a column `language`.

    Args:
        refs: the datasets; one that another of its kind and partition was made from is left out, as what is gone is.
        sql: reads these tables and nothing else.
        named: further tables, of one dataset each.

    Raises:
        ValueError: the query is wrong, or reads something else; says how.
    """
    if reader := _READER.search(sql):
        raise ValueError(f"--sql: expected tables of the store, got {reader[0]}. Name one of {', '.join(SCHEMAS)}.")
    words = set(re.findall(r"\w+", sql.casefold()))
    kinds = {kind: _whole(refs, kind) for kind in dict.fromkeys(ref.kind for ref in refs) if kind in words}
    tables = {kind: table for kind, table in kinds.items() if table is not None}
    tables |= {name: scan(ref) for name, ref in named.items() if name in words}
    try:
        return pl.SQLContext(tables).execute(sql, eager=True)
    except (pl.exceptions.PolarsError, TypeError) as error:
        reason = str(error).partition("\n")[0]  # polars adds its whole query plan
        raise ValueError(f"--sql: expected a query on the run's tables, got: {reason}. Mend the query.") from error


def _whole(refs: Sequence[DatasetRef], kind: str) -> pl.LazyFrame | None:
    """Read all datasets of a kind but those that another one of it replaces."""
    found = {ref: content for ref in refs if ref.kind == kind and (content := manifest.find(ref))}
    replaced = {entry.ref(ref.root) for ref, content in found.items() for entry in content.inputs}
    frames = [
        scan(ref) if "language" in SCHEMAS[kind].names else scan(ref).with_columns(language=pl.lit(ref.partition))
        for ref in found
        if ref not in replaced
    ]
    return pl.concat(frames, how="vertical_relaxed") if frames else None


def rows(ref: DatasetRef, **values: Any) -> list[dict[str, Any]]:
    """Read the rows whose columns hold a value (or one of several), in the dataset's order.

    Args:
        ref: the dataset.
        values: column -> a value, or a list of values.
    """
    frame = scan(ref)
    for name, value in values.items():
        frame = frame.filter(pl.col(name).is_in(value if isinstance(value, list) else [value]))
    return frame.collect().to_dicts()


def metrics_means(ref: DatasetRef) -> list[dict[str, Any]]:
    """Read the means of a metrics dataset, its columns but query_id; language `all` is the mean over languages."""
    columns = [name for name in SCHEMAS["metrics"].names if name != "query_id"]
    return scan(ref).filter(pl.col("query_id") == "all").select(columns).collect().to_dicts()


def lineage(ref: DatasetRef) -> list[tuple[int, str, Manifest | str]]:
    """List a dataset's ancestors: depth, the name of the input, its manifest (or `gone`, `damaged`); each once."""
    rows: list[tuple[int, str, Manifest | str]] = []
    seen: set[str] = set()

    def walk(one: DatasetRef, depth: int, name: str) -> None:
        if one.uri in seen:
            return
        seen.add(one.uri)
        try:
            content = manifest.load(one)
        except MissingDataset:
            rows.append((depth, name, "gone"))
        except DamagedDataset:
            rows.append((depth, name, "damaged"))
        else:
            rows.append((depth, name, content))
            for entry in content.inputs:
                walk(entry.ref(ref.root), depth + 1, entry.name)

    with backend.held([f"{ref.root}/{kind}" for kind in SCHEMAS], manifest.NAME):
        walk(ref, 0, ref.kind)
    return rows
