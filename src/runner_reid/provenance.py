"""Which of our own code a result depends on."""

import ast
import functools
import hashlib
import json
from pathlib import Path

PACKAGE = Path(__file__).parent


@functools.cache
def fingerprint(*modules: str) -> str:
    """A digest of the given modules and of all they import from this package, blind to comments and docstrings.

    modules: names inside the package, e.g. "tracking" or "extractors.gru_ae"; a folder means every file in it.
    Snakemake does not see an edit in a module that a script imports; a rule that carries this in `params` does.
    """
    code = hashlib.sha256()
    for path in sorted(_closure([path for name in modules for path in _files(name)])):
        code.update(f"{path.relative_to(PACKAGE)}\n{_code(path)}\n".encode())
    return code.hexdigest()[:16]


def digest(params: dict) -> str:
    """The sha256 of parameters, whatever the order of their keys."""
    return hashlib.sha256(json.dumps(params, sort_keys=True).encode()).hexdigest()


def _files(module: str) -> list[Path]:
    path = PACKAGE.joinpath(*module.split("."))
    if path.is_dir():
        return sorted(path.rglob("*.py"))
    if not path.with_suffix(".py").is_file():
        raise ValueError(f"no module {module!r} in {PACKAGE.name}")
    return [path.with_suffix(".py")]


def _closure(paths: list[Path]) -> set[Path]:
    seen: set[Path] = set()
    while paths:
        path = paths.pop()
        if path not in seen:
            seen.add(path)
            paths.extend(_imports(path))
    return seen


@functools.cache
def _imports(path: Path) -> list[Path]:
    """The files of this package that a file imports."""
    found: list[Path] = []
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            if name.startswith(f"{PACKAGE.name}."):
                target = PACKAGE.joinpath(*name.split(".")[1:])
                found += [file for file in (target.with_suffix(".py"), target / "__init__.py") if file.is_file()]
    return found


@functools.cache
def _code(path: Path) -> str:
    """The syntax tree of a file without docstrings, as text."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [
                statement
                for statement in node.body
                if not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
            ]
    return ast.dump(tree)
