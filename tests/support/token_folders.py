"""Folders of `tokens` datasets, written by hand."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.train.tokens import FILES, write_token_file


def token_folder(folder: Path, *parts: Mapping[str, Sequence[int]], language: str = "fi", role: str = "query") -> Path:
    """Write a dataset of the parts' texts: id -> token ids."""
    names = []
    for number, texts in enumerate(parts):
        lengths = write_token_file(folder / FILES / f"{number:05d}.bin", texts.values())
        columns = {
            "role": pa.array([role] * len(texts), pa.string()),
            "language": pa.array([language] * len(texts), pa.string()),
            "id": pa.array(list(texts), pa.string()),
            "num_tokens": pa.array(lengths, pa.int32()),
        }
        names.append({"name": f"part-{number}.parquet", "sha256": str(texts)})
        pq.write_table(pa.table(columns), folder / names[-1]["name"])
    (folder / "manifest.json").write_text(
        json.dumps({"kind": "tokens", "partition": language, "parts": names, "files": []})
    )
    return folder
