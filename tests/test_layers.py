"""Imports go one way. Reads them with `ast`, so that an import inside a function counts as well."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "include" / "spine"

LOW = {"core"}
MIDDLE = {"http", "lake"}
STEPS = {"sources", "quality", "control", "normalize", "identity", "sandbox"}
ALLOWED = {
    "core": set(),
    "http": LOW,
    "lake": LOW,
    "sources": LOW | {"http"},
    "control": LOW,
    "normalize": LOW | {"lake"},
    "identity": LOW,
    "quality": LOW | {"lake"},
    "sandbox": LOW,
    "pipeline": LOW | MIDDLE | STEPS - {"sandbox"},
    "ui": LOW | MIDDLE | STEPS - {"sandbox"} | {"pipeline"},
    "dagkit": LOW | MIDDLE | STEPS - {"sandbox"} | {"pipeline"},
    "stack": LOW | MIDDLE | STEPS | {"pipeline", "dagkit"},
    "cli": LOW | MIDDLE | STEPS | {"pipeline", "stack"},
}


def imported_modules(path: Path) -> set[str]:
    """Dotted names of everything that a file imports, at any depth."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def package_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE or path.stem != "__init__")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_follow_the_arrow(path: Path) -> None:
    package = package_of(path)
    imported = {name.split(".")[1] for name in imported_modules(path) if name.startswith("spine.") and len(name.split(".")) > 1}
    assert imported - {package} <= ALLOWED[package], f"{package} may import {sorted(ALLOWED[package])} only"


@pytest.mark.parametrize(
    ("library", "places"),
    [
        ("airflow", ("dagkit/", "control/airflow_state.py", "ui/")),
        ("requests", ("http/transport.py", "stack/")),  # the stack speaks to services of this machine only
        ("pyspark", ("lake/", "normalize/", "identity/", "quality/", "pipeline/")),
        ("great_expectations", ("quality/",)),
    ],
)
def test_heavy_libraries_stay_where_they_belong(library: str, places: tuple[str, ...]) -> None:
    users = {str(path.relative_to(PACKAGE)) for path in MODULES if any(name.split(".")[0] == library for name in imported_modules(path))}
    assert {user for user in users if not user.startswith(places)} == set()
