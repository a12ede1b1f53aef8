"""What `pyproject.toml` asks for is imported somewhere, or it is said here what needs it."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import packages_distributions

from spine.core.settings import PROJECT

PRODUCT = ("include", "dags", "plugins", "scripts", "spark_jobs")
# Needed, but never imported by our code.
KEPT = {
    "apache-airflow-providers-postgres": "the form and the Test of Connection spine_postgres",
    "apache-airflow-providers-standard": "the operators behind the decorators of airflow.sdk",
    "delta-spark": "names the Spark and the Delta that fit each other; its classes are the jars that `make setup` fetches",
    "psycopg2-binary": "the driver of Airflow's own database (postgresql+psycopg2)",
}
TOOLS = {  # scans, types, lint, hooks, and what pytest and starlette's TestClient load by themselves
    "detect-secrets", "httpx", "mypy", "pre-commit", "pytest-cov", "pytest-timeout", "pytest-xdist", "ruff",
}  # fmt: skip


def plain(name: str) -> str:
    """A distribution's name as its index has it."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!~ ;]", name)[0]).lower()


def imported(folders: Iterable[str]) -> set[str]:
    """Distributions of all modules that the files of these folders import, wherever in a file."""
    modules: set[str] = set()
    for path in (found for folder in folders for found in (PROJECT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules |= {name.name for name in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                modules.add(node.module)
    known = packages_distributions()
    return {found for module in modules for found in _of(module, known)}


def _of(module: str, known: dict[str, list[str]]) -> set[str]:
    first, *rest = module.split(".")
    if first in sys.stdlib_module_names:
        return set()
    if first == "airflow":  # one namespace of many distributions
        return {f"apache-airflow-providers-{'-'.join(rest[1:3])}"} if rest[:1] == ["providers"] else {"apache-airflow"}
    return {plain(name) for name in known.get(first, [])}


def declared() -> tuple[set[str], set[str]]:
    """What the package needs, and what its development needs besides."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {plain(name) for name in project["dependencies"]}, {plain(name) for name in project["optional-dependencies"]["dev"]}


def test_the_package_imports_what_it_depends_on() -> None:
    wanted, _ = declared()
    assert wanted - imported(PRODUCT) - KEPT.keys() == set()


def test_the_tests_and_benchmarks_import_what_they_depend_on() -> None:
    _, wanted = declared()
    used = imported((*PRODUCT, "tests", "benchmarks"))
    typed = {name for name in wanted if name.startswith("types-") and name.removeprefix("types-") in used}
    assert wanted - used - typed - TOOLS == set()


def test_what_is_kept_is_declared_and_really_not_imported() -> None:
    wanted, dev = declared()
    assert KEPT.keys() <= wanted
    assert dev >= TOOLS
    assert not (KEPT.keys() | TOOLS) & imported((*PRODUCT, "tests", "benchmarks"))
