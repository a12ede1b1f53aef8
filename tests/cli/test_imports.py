"""A command imports what it needs and nothing else. Libraries are judged, not seconds: each of them costs up to five."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from spine.cli.commands import app
from spine.core.settings import PROJECT
from spine.gold.publish import publish
from tests.conftest import GoldWorld

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

LAKE = {"deltalake"}
# What is typed (`…`: only up to its first line), and what may be imported by then. Airflow keeps Variables and Connections, nothing else.
COMMANDS: dict[str, tuple[str, set[str]]] = {
    "sync": ("people_files …", set()),
    "normalize": ("people_files …", set()),
    "resolve": ("person …", set()),
    "unite": ("", LAKE),
    "publish": ("person", LAKE | {"pandas", "scipy"}),  # hashes rows by pandas
    "match": ("{folder}/people.csv -e {folder}/people.yaml -o {folder}/clusters.csv", {"pandas", "scipy"}),  # and texts
    "status": ("…", set()),
    "query": ("SHOW_TABLES", LAKE | {"duckdb"}),
    "report": ("person -o {folder}/page.html", LAKE | {"scipy"}),
    "validate": ("", set()),
    "keys status": ("…", set()),
    "keys rotate": ("…", set()),
    "keys drop": ("…", set()),
    "keys renew": ("…", set()),
    "audit verify": ("…", set()),
    "audit accept": ("acme --reason x …", set()),
    "lookup": ("--family-name Abel", set()),
    "why": ("{ref} {twin}", LAKE),
    "how": ("{one}", LAKE | {"scipy"}),
    "entity": ("{one}", LAKE),
    "review": ("person", LAKE),
    "overrides": ("", LAKE),
    "link": ("{ref} {twin} --reason x", LAKE | {"scipy"}),
    "unlink": ("{ref} {twin} --reason x", LAKE | {"scipy"}),
    "merge": ("{one} {other} --reason x", LAKE | {"scipy"}),
    "split": ("{one} {twin} --reason x", LAKE | {"scipy"}),
    "undo": ("nothing --reason x", LAKE),
    "auth": ("hubspot …", set()),
    "connector list": ("…", set()),
    "connector fields": ("hubspot …", set()),
    "connector pause": ("hubspot --reason x …", set()),
    "connector resume": ("hubspot …", set()),
    "connector test": ("hubspot …", set()),
    "push plan": ("customer_360 …", set()),
    "push run": ("customer_360 …", set()),
    "push undo": ("customer_360 run …", set()),
    "push runs": ("customer_360 …", set()),
    "push show": ("customer_360 run …", set()),
    "push conflicts": ("customer_360 …", set()),
    "push decide": ("customer_360 key field --take source …", set()),
    "sources new": ("acme --from nobody …", set()),
    "sources check": ("hubspot …", set()),
    "sources discover": ("hubspot …", set()),
    "sources read": ("hubspot …", set()),
    "sources matrix": ("", set()),
    "sources estimate": ("acme", set()),
    "sources level": ("joins", set()),
    "sources upgrade": ("--dry-run", set()),
    "tenant add": ("acme …", set()),
    "cursor show": ("hubspot …", set()),
    "cursor set": ("hubspot contacts 2026-01-01T00:00:00Z …", set()),
    "cursor rewind": ("hubspot contacts 2026-01-01T00:00:00Z …", set()),
    "quarantine list": ("hubspot person", LAKE),
    "quarantine show": ("hubspot person 3f9a", LAKE),
    "quarantine replay": ("hubspot person", LAKE),  # there is none, hence no Spark
    "bronze restore": ("hubspot", LAKE | {"duckdb"}),
    "maintain": ("--dry-run", LAKE),
    "airflow": ("dags list", set()),  # becomes Airflow's own process
}


def words_of(command: str, names: dict[str, Any]) -> list[str]:
    typed = [word.format(**names).replace("_TABLES", " TABLES") for word in COMMANDS[command][0].split()]
    return [*command.split(), *typed]


@pytest.fixture(scope="module")
def told(control_url: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What each command said that it had imported, all of them run on one small lake."""
    folder = tmp_path_factory.mktemp("imports")
    (folder / "people.csv").write_text("id,name\n1,Ada Lovelace\n2,Ada Lovelace\n")
    (folder / "people.yaml").write_text("entity: person\nrecord_id: id\nattributes: {name: full_name}\n")
    (folder / "lake").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"SPINE_HOME": folder / "home", "SPINE_LAKE": folder / "lake", "SPINE_POSTGRES": control_url}.items():
            patch.setenv(name, str(value))
        patch.delenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", raising=False)
        world = GoldWorld()
        world.put("salesforce", world.crowd())
        world.put("hubspot", world.crowd()[:1])
        ids = world.resolve()
        publish("person", "run-1", url=control_url)
        names = {
            "folder": folder,
            "ref": "salesforce:contacts:c000",
            "twin": "hubspot:contacts:c000",
            "one": ids["c000"],
            "other": ids["c001"],
        }
        asked = json.dumps([words_of(command, names) for command in COMMANDS] + [[*command.split(), "--help"] for command in COMMANDS])
        program = str(Path(__file__).with_name("imported.py"))
        done = subprocess.run([sys.executable, program, asked], capture_output=True, text=True, check=True, cwd=PROJECT)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    asked_for = [*COMMANDS, *(f"{command} --help" for command in COMMANDS)]
    assert len(answers) == len(asked_for), done.stderr[-3000:]
    return dict(zip(asked_for, answers, strict=True))


def leaves(command: Any, *path: str) -> Iterator[str]:
    if not hasattr(command, "commands"):
        yield " ".join(path)
    for name, child in getattr(command, "commands", {}).items():
        yield from leaves(child, *path, name)


def test_every_command_is_in_the_table() -> None:
    assert set(COMMANDS) == set(leaves(typer.main.get_command(app)))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_imports_what_it_needs(told: dict[str, dict[str, Any]], command: str) -> None:
    assert set(told[command]["end"]) <= COMMANDS[command][1]
    assert told[f"{command} --help"]["end"] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_the_first_line_comes_before_anything_heavy(told: dict[str, dict[str, Any]], command: str) -> None:
    if COMMANDS[command][0].endswith("…") or command in ("publish", "match", "report", "maintain", "why", "how", "link", "undo", "review"):
        assert told[command]["first"] == []


def test_pandas_is_there_for_whoever_asks_after_pyarrow_has_been_told_that_it_is_not() -> None:
    code = """
from spine.cli import world
world.arrow_alone()
import sys, pyarrow as pa
assert "pandas" not in sys.modules and pa.array([1, None]).to_pylist() == [1, None]
import pandas as pd
assert pa.table({"a": pd.Series([1, 2])}).to_pandas()["a"].tolist() == [1, 2]
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=PROJECT)
