"""Which code decides a stage's result: the body, what it names in its own file, and every module below that."""

import ast
import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from storage.fingerprints import code_fingerprint, fingerprint, imported_modules, normalised

_OUTSIDE = {"tasks.stage", "tasks.job", "tasks.code"}  # how stages are run, not what they compute


def body_fingerprint(body: Callable[..., Any]) -> str:
    """Hash a body with all code that it reaches; comments and docstrings don't count.

    Only what the body names counts: a change to another stage in the same file leaves this one's datasets alone.
    """
    definitions, modules = body_code(body)
    return fingerprint([definitions, code_fingerprint(modules)])


def body_code(body: Callable[..., Any]) -> tuple[list[str], set[str]]:
    """Return the definitions of its own file that a body reaches, and the modules that they use."""
    own, imports = _module_names(str(inspect.getsourcefile(body)), body.__module__)
    reached: dict[str, str] = {}
    modules: set[str] = set()
    todo = [body.__name__]
    while todo:
        name = todo.pop()
        modules |= imports.get(name, set())
        if name in own and name not in reached:
            reached[name] = normalised(ast.parse(ast.unparse(own[name])))
            todo.extend(node.id for node in ast.walk(own[name]) if isinstance(node, ast.Name))
    return [reached[name] for name in sorted(reached)], {
        name for name in modules - _OUTSIDE if not name.endswith(".config")
    }


@functools.cache
def _module_names(path: str, module: str) -> tuple[dict[str, ast.stmt], dict[str, set[str]]]:
    own: dict[str, ast.stmt] = {}
    imports: dict[str, set[str]] = {}
    package = module.rpartition(".")[0]
    for statement in _flat(ast.parse(Path(path).read_bytes()).body):
        if isinstance(statement, ast.Import | ast.ImportFrom):
            for alias in statement.names:
                one = type(statement)(**{**dict(ast.iter_fields(statement)), "names": [alias]})
                imports[alias.asname or alias.name] = imported_modules(one, "tasks", package)
        elif isinstance(statement, ast.FunctionDef | ast.ClassDef):
            own[statement.name] = statement
        elif isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            for target in targets:
                own.update({node.id: statement for node in ast.walk(target) if isinstance(node, ast.Name)})
    return own, imports


def _flat(body: list[ast.stmt]) -> list[ast.stmt]:
    """Look into `if TYPE_CHECKING: … else: …` too: the imports stand there."""
    found: list[ast.stmt] = []
    for statement in body:
        if isinstance(statement, ast.If):
            found += [inner for inner in _flat(statement.body) if isinstance(inner, ast.Import | ast.ImportFrom)]
        else:
            found.append(statement)
    return found
