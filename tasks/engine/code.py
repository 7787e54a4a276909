"""Which code decides a step's result: the body, what it names in its own file, and every module below that."""

import ast
import functools

from storage.fingerprints import code_fingerprint, fingerprint, imported_modules, normalised, parsed


def body_fingerprint(path: str) -> str:
    """Hash a body (`module:function`) with all code that it reaches; comments and docstrings don't count.

    Only what the body names counts: a change to another step in the same file leaves this one's datasets alone.
    """
    definitions, modules = body_code(path)
    return fingerprint([definitions, code_fingerprint(modules)])


def definition(path: str) -> ast.FunctionDef:
    """Read a body's definition (`module:function`) without importing it.

    Raises:
        ModuleNotFoundError: there is no such module.
        AttributeError: the module defines no such function.
    """
    module, _, name = path.partition(":")
    found = _module_names(module)[0].get(name)
    if not isinstance(found, ast.FunctionDef):
        raise AttributeError(f"step: expected a function at {path}, got {found}. Mend its path in tasks/steps.py.")
    return found


def body_code(path: str) -> tuple[list[str], set[str]]:
    """Return the definitions of its own file that a body reaches, and the modules that they use.

    How steps are run (`tasks.engine`) is none of what they compute, and settings are hashed by value.
    """
    module, _, body = path.partition(":")
    definitions, imports = _module_names(module)
    reached: dict[str, str] = {}
    modules: set[str] = set()
    todo = [body]
    while todo:
        name = todo.pop()
        modules |= imports.get(name, set())
        if name in definitions and name not in reached:
            reached[name] = normalised(ast.parse(ast.unparse(definitions[name])))
            todo.extend(node.id for node in ast.walk(definitions[name]) if isinstance(node, ast.Name))
    return [reached[name] for name in sorted(reached)], {
        name for name in modules if not name.startswith("tasks.engine") and not name.endswith(".config")
    }


@functools.cache
def _module_names(module: str) -> tuple[dict[str, ast.stmt], dict[str, set[str]]]:
    definitions: dict[str, ast.stmt] = {}
    imports: dict[str, set[str]] = {}
    for statement in parsed(module).body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            for alias in statement.names:
                one = type(statement)(**{**dict(ast.iter_fields(statement)), "names": [alias]})
                imports[alias.asname or alias.name] = imported_modules(one, "tasks", module.rpartition(".")[0])
        elif isinstance(statement, ast.FunctionDef | ast.ClassDef):
            definitions[statement.name] = statement
        elif isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            for target in targets:
                definitions.update({node.id: statement for node in ast.walk(target) if isinstance(node, ast.Name)})
    return definitions, imports
