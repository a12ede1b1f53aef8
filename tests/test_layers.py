"""Imports go one way. Reads them with `ast`, so that an import inside a function counts as well."""

import ast
from functools import cache
from pathlib import Path

import networkx
import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "include" / "spine"

STEP = {"core", "http", "lake", "sources", "control", "normalize", "identity", "quality", "matching", "gold", "events", "pipeline"}
ALLOWED = {
    "core": set(),
    "http": {"core"},
    "lake": {"core"},
    "sources": {"core", "http", "lake"},
    "control": {"core"},
    "normalize": {"core", "lake"},
    "identity": {"core"},
    "quality": {"core", "lake"},
    "sandbox": {"core", "http", "sources"},  # of `sandbox/vendor` alone, which is made from a source's file
    "matching": {"core", "lake", "identity", "sources"},  # files within bounds are read in one way
    "gold": {"core", "lake", "sources", "control", "identity", "matching"},
    "events": {"core", "control"},
    "pipeline": STEP - {"pipeline"},
    "push": {"core", "http", "lake", "sources", "control", "pipeline"},  # of `pipeline` what opens Connections
    "ui": STEP,
    "dagkit": STEP | {"push"},
    "stack": STEP | {"sandbox", "dagkit"},
    "cli": STEP | {"sandbox", "stack", "push"},
}


@cache  # every test here reads all files
def imported_modules(path: Path) -> frozenset[str]:
    """Dotted names of everything that a file imports, at any depth."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(found)


def package_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE or path.stem != "__init__")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_follow_the_arrow(path: Path) -> None:
    package = package_of(path)
    imported = {name.split(".")[1] for name in imported_modules(path) if name.startswith("spine.") and len(name.split(".")) > 1}
    assert imported - {package} <= ALLOWED[package], f"{package} may import {sorted(ALLOWED[package])} only"


def test_sandboxes_of_vendors_know_no_reader() -> None:
    """What plays a vendor must not have its mistakes in common with what reads it, but for the one that is made from a source's file."""
    ours = [path for path in MODULES if package_of(path) == "sandbox" and path.parent.name != "vendor"]
    assert {name for path in ours for name in imported_modules(path) if name.startswith(("spine.http", "spine.sources"))} == set()


def test_no_module_imports_itself_by_way_of_others() -> None:
    names = {".".join(("spine", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__"): path for path in MODULES}
    graph = networkx.DiGraph()
    for name, path in names.items():
        imported = (found if found in names else found.rpartition(".")[0] for found in imported_modules(path))
        graph.add_edges_from((name, found) for found in imported if found in names and found != name)
    assert [sorted(ring) for ring in networkx.strongly_connected_components(graph) if len(ring) > 1] == []


def test_what_is_found_by_name_is_looked_for_in_few_places() -> None:
    """Imports that the arrow cannot see: words of declarations and readers of odd sources (decision 9), and what is imported ahead."""
    users = {str(path.relative_to(PACKAGE)) for path in MODULES if "importlib.import_module" in imported_modules(path)}
    assert users == {
        "core/choices.py",
        "core/variants.py",
        "core/vocabulary.py",
        "identity/kinds/__init__.py",
        "normalize/python_daemon.py",
        "sources/loader.py",
        "ui/app.py",
    }


@pytest.mark.parametrize(
    ("library", "places"),
    [
        ("airflow", ("dagkit/", "control/airflow_state.py", "ui/")),
        ("requests", ("http/transport.py", "http/auth/digest.py", "stack/")),  # digest computes; the stack calls this machine only
        ("pyspark", ("lake/", "normalize/", "identity/spark/", "quality/", "pipeline/", "matching/spark.py", "gold/")),
        ("great_expectations", ("quality/",)),
    ],
)
def test_heavy_libraries_stay_where_they_belong(library: str, places: tuple[str, ...]) -> None:
    users = {str(path.relative_to(PACKAGE)) for path in MODULES if any(name.split(".")[0] == library for name in imported_modules(path))}
    assert {user for user in users if not user.startswith(places)} == set()
