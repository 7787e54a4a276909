"""Fingerprints: a short hash of what a dataset is made from."""

import ast
import functools
import hashlib
import importlib.util
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

_LENGTH = 32  # hex digits: 128 bits


def fingerprint(content: Any) -> str:
    """Hash a JSON-like value; key order does not matter.

    Raises:
        TypeError: the value holds something JSON does not know, which could hash differently each time.
    """
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:_LENGTH]


def normalised(tree: ast.AST) -> str:
    """Render code without comments, docstrings and layout: what can change a result."""
    for node in (tree, *_statements(tree)):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        first = node.body[0] if node.body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def code_fingerprint(modules: Iterable[str]) -> str:
    """Hash modules and all they import of the same top-level package, comments and docstrings left out.

    Data files beside a module's package `__init__.py` (templates, word lists) count as code.
    """
    return fingerprint({name: _module_code(name)[0] for name in reached_modules(modules)})


def reached_modules(modules: Iterable[str]) -> set[str]:
    """Name the modules that `code_fingerprint` covers."""
    reached: set[str] = set()
    todo = sorted(set(modules))
    while todo:
        name = todo.pop()
        if name not in reached:
            reached.add(name)
            todo.extend(_module_code(name)[1])
    return reached


@functools.cache
def _module_code(name: str) -> tuple[str, tuple[str, ...]]:
    path, tree = _read(name)
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    imports = tuple(sorted(imported_modules(tree, name.partition(".")[0], package)))
    data = []
    if path.name == "__init__.py":
        data = [
            [file.name, hashlib.sha256(file.read_bytes()).hexdigest()]
            for file in sorted(path.parent.iterdir())
            if file.is_file() and file.suffix not in (".py", ".pyc")
        ]
    return fingerprint([normalised(tree), data]), imports


def parsed(name: str) -> ast.Module:
    """Parse a module's source without importing it.

    Raises:
        ModuleNotFoundError: there is none.
    """
    return _read(name)[1]


def _read(name: str) -> tuple[Path, ast.Module]:
    path = _source(name)
    if path is None:
        raise ModuleNotFoundError(f"code fingerprint: expected a module, got '{name}'. Fix the step's imports.")
    return path, ast.parse(path.read_bytes())


def imported_modules(tree: ast.AST, top: str, package: str) -> set[str]:
    """Name the modules below the top-level package that a piece of code imports."""
    names: set[str] = set()
    for node in (tree, *_statements(tree)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parents, *([node.module] if node.module else [])])
            names.add(base)
            names |= {f"{base}.{alias.name}" for alias in node.names}
    return {name for name in names if name.partition(".")[0] == top and _source(name) is not None}


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what is below, without expressions, in which no import and no docstring can be: a tenth of `ast.walk`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt | ast.excepthandler | ast.match_case):
            yield child
            yield from _statements(child)


@functools.cache
def _source(name: str) -> Path | None:
    """Find a module's file without importing anything but its top-level package; None: it is not a module."""
    top, _, rest = name.partition(".")
    spec = importlib.util.find_spec(top)
    if spec and spec.origin and not rest and not spec.submodule_search_locations:
        return Path(spec.origin)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        base = Path(folder, *rest.split(".")) if rest else Path(folder)
        for path in (base / "__init__.py", base.with_suffix(".py")):
            if path.is_file():
                return path
    return None
