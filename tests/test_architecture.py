"""What the layer contracts of `make check` cannot say."""

import ast
import importlib.metadata
import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
SOURCES = sorted(path for folder in ("flows", "tasks", "storage") for path in (REPOSITORY / folder).rglob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_file_has_a_docstring_and_no_import_inside_a_function(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert path.name == "__init__.py" or ast.get_docstring(tree), "expected a docstring on the first line"
    inner = [
        node.lineno
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert inner == []


def test_public_functions_and_classes_have_docstrings():
    missing = [
        f"{path.relative_to(REPOSITORY)}:{node.lineno} {node.name}"
        for path in SOURCES
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
    ]
    assert missing == []


def test_installed_versions_are_the_locked_ones():
    lock = dict(
        line.partition(";")[0].strip().split("==")
        for line in (REPOSITORY / "requirements.lock").read_text().splitlines()
        if "==" in line and not line.startswith("#")
    )
    for name in ("prefect", "fastapi", "torch", "transformers", "polars", "pyarrow", "pyserini", "faiss-cpu"):
        assert importlib.metadata.version(name).partition("+")[0] == lock[name]


def test_data_files_beside_the_code_are_packaged():
    patterns = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["*"]
    beside = [path for folder in ("flows", "tasks", "storage") for path in (REPOSITORY / folder).rglob("*.*")]
    data = [path for path in beside if path.is_file() and path.suffix not in (".py", ".pyc")]
    assert data
    assert [path for path in data if not any(path.match(pattern) for pattern in patterns)] == []
    assert all((path.parent / "__init__.py").is_file() for path in data)
