"""Airflow without a database: enough to import DAG files and look at the objects."""

from __future__ import annotations

import importlib.util
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="spine-airflow-"))
os.environ.setdefault("AIRFLOW__CORE__LOAD_EXAMPLES", "False")

DAGS = Path(__file__).resolve().parents[2] / "dags"


@pytest.fixture
def import_dag_file() -> Callable[[str], ModuleType]:
    """Imports `dags/<name>.py` afresh, as the DAG processor does."""

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(f"dag_file_{name}", DAGS / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture
def declarations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with copies of all declarations, set as the place where they are read."""
    include = DAGS.parent / "include"
    for kind in ("sources", "entities"):
        (tmp_path / kind).mkdir()
        for path in (include / kind).glob("*.yaml"):
            (tmp_path / kind / path.name).write_text(path.read_text())
        monkeypatch.setenv(f"SPINE_{kind.upper()}", str(tmp_path / kind))
    return tmp_path
