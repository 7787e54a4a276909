"""Make the folder that `run.sh` carries to a machine with a GPU: code, tests, a tokenizer, passages and pytest.

    python benchmarks/gpu/prepare.py

Weights are drawn there, at random. Same repository, same folder but for pytest's version.
"""

import argparse
import importlib.util
import json
import random
import shutil
from pathlib import Path

from tasks.ingest.atlas.generate import generate
from tasks.models.layout import LAYOUT_FILES
from tasks.models.sources import write_encoder

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
CODE = ("tasks", "storage", "tests/support", "tests/gpu", "benchmarks/gpu")
PURE = ("pytest", "_pytest", "py", "pluggy", "iniconfig")  # pytest and what it needs: Python alone
LANGUAGES = ("en", "fi", "sw", "ja")
MOST_BYTES = 64 * 2**20


def main() -> None:
    """Make the folder anew."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=HERE / "carry")
    parser.add_argument("--passages", type=int, default=20_000)
    options = parser.parse_args()
    prepare(options.out, num_passages=options.passages)


def prepare(out: Path, *, num_passages: int) -> None:
    """Make the folder.

    Raises:
        ValueError: it is larger than what may be carried.
    """
    shutil.rmtree(out, ignore_errors=True)
    for name in CODE:
        ignored = shutil.ignore_patterns("__pycache__", "carry")
        shutil.copytree(REPOSITORY / name, out / "code" / name, ignore=ignored)
    shutil.copy(HERE / "run.sh", out / "run.sh")
    for name in PURE:
        source = _package(name)
        if source.is_dir():
            shutil.copytree(source, out / "packages" / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, out / "packages" / source.name)
    _write_tokenizer(out / "tokenizer")
    passages = _passages(num_passages)
    (out / "passages.json").write_text(json.dumps(passages, ensure_ascii=False), encoding="utf-8")
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    if size > MOST_BYTES:
        raise ValueError(f"{out}: expected at most {MOST_BYTES} bytes, got {size}. Lower --passages.")
    print(f"{out}: {size / 1e6:.1f} MB, {len(passages)} passages")  # noqa: T201 - a script


def _package(name: str) -> Path:
    found = importlib.util.find_spec(name)
    if found is None or found.origin is None:
        raise ValueError(f"{name}: expected the package, got none. Install the tests' packages: make install-test.")
    origin = Path(found.origin)
    return origin.parent if origin.name == "__init__.py" else origin


def _write_tokenizer(folder: Path) -> None:
    whole = folder.with_name("encoder")
    write_encoder(
        "bundled:multilingual-e5-small",
        whole,
        num_layers=1,
        pooling="mean",
        query_prompt="query: ",
        document_prompt="passage: ",
    )
    folder.mkdir()
    for name in LAYOUT_FILES[:2]:
        shutil.copy(whole / name, folder / name)
    shutil.rmtree(whole)


def _passages(number: int) -> list[str]:
    """Return passages of atlas's sentences, of about MIRACL's lengths: most short, some many times as long."""
    size = min(2000, number)
    per_language = [
        generate(language, seed=0, documents_per_language=size, queries_per_language=20).corpus["text"].to_list()
        for language in LANGUAGES
    ]
    rng = random.Random(0)
    sizes = [max(1, round(2 * rng.lognormvariate(0, 0.6))) for _ in range(number)]
    return [" ".join(rng.sample(rng.choice(per_language), size)) for size in sizes]


if __name__ == "__main__":
    main()
