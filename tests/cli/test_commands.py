"""The command line: what people see, what scripts get, and which exit code a failure has."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import psycopg
import pytest
import typer
from typer.testing import CliRunner, Result

from spine.cli import world
from spine.cli.commands import app, exit_code
from spine.cli.options import grouped
from spine.control import locks
from spine.control.airflow_state import ConnectionInfo
from spine.control.bootstrap import bootstrap
from spine.control.database import Database
from spine.control.variables import MemoryVariables
from spine.core import errors
from spine.core.names import connection_id
from spine.core.settings import PROJECT
from spine.pipeline.services import Services
from spine.push.spec import push_names
from spine.sources.check import entity_names, matched_entities
from spine.sources.spec import source_names

Spine = Callable[..., Result]
PEOPLE = """employee_id,first_name,last_name,email,updated_at
1,Ada,Lovelace,ada@example.org,2026-01-05T00:00:00Z
2,Alan,Turing,,2026-01-06T00:00:00Z
"""


@pytest.fixture
def spine() -> Spine:
    """Run a command in this process."""

    def run(*words: str) -> Result:
        return CliRunner().invoke(app, list(words), prog_name="spine")

    return run


@pytest.fixture
def services(database: Database, lake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Services:
    """A control plane, Variables in memory, and a folder of people files as the only connection."""
    drop = tmp_path / "drop"
    drop.mkdir()
    (drop / "people-1.csv").write_text(PEOPLE)

    def connection(conn_id: str) -> ConnectionInfo:
        if conn_id.startswith(connection_id("people_files")):
            own = drop / conn_id.partition("__")[2]  # a tenant's folder has its name in its path
            own.mkdir(exist_ok=True)
            return ConnectionInfo(conn_id, "fs", str(own))
        raise errors.ConfigError(f"There is no Airflow Connection {conn_id}")

    made = Services(database, MemoryVariables(), connection)
    monkeypatch.setattr(world, "services", lambda: made)
    return made


@pytest.fixture
def gold_url(admin_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A control plane in SPINE_POSTGRES whose Gold is empty."""
    url = bootstrap(admin_url)
    monkeypatch.setenv("SPINE_POSTGRES", url)
    yield url
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA gold CASCADE")


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['spine', '--help']\ntry:\n    from spine.cli import main; main()\nfinally:\n    print(sorted(sys.modules))"
    )
    subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    before = os.times()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    after = os.times()  # of processor time, since a second worker says nothing about us
    assert sum(after[2:4]) - sum(before[2:4]) < 1.5  # 0.3 s on a quiet machine
    heavy = {"airflow", "pyspark", "pyarrow", "deltalake", "duckdb", "pandas", "sqlalchemy", "great_expectations", "psycopg"}
    assert not heavy & set(json.loads(done.stdout.splitlines()[-1].replace("'", '"')))
    assert "spine validate" in done.stdout


def _commands(group: Any, before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield before
    for name, command in getattr(group, "commands", {}).items():
        yield from _commands(command, (*before, name))


def _is_ours(words: tuple[str, ...]) -> bool:
    return words != ("airflow",)  # its --help is Airflow's


COMMANDS = [words for words in _commands(typer.main.get_command(app)) if _is_ours(words)]
GROUPS = {words for words in COMMANDS if any(other[:-1] == words for other in COMMANDS)}


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_has_help(spine: Spine, words: tuple[str, ...]) -> None:
    shown = spine(*words, "--help")
    assert shown.exit_code == 0
    if words not in GROUPS:
        assert f"spine {' '.join(words)}" in shown.output.split("Usage:")[1].split("\n", 1)[1], "an example is missing"


class TestAirflow:
    """`spine airflow …` is Airflow's command with the environment of the running stack."""

    @pytest.fixture
    def executed(self, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
        """What would have replaced this process."""
        found: list[Any] = []
        monkeypatch.setattr("os.execve", lambda program, words, environment: found.extend((Path(program).name, words[1:], environment)))
        return found

    def test_words_and_options_go_through_as_they_are(self, spine: Spine, executed: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql://elsewhere/airflow")
        assert spine("airflow", "backfill", "create", "--dag-id", "sync_hubspot", "--help").exit_code == 0
        assert executed[:2] == ["airflow", ["backfill", "create", "--dag-id", "sync_hubspot", "--help"]]
        assert executed[2]["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] == "postgresql://elsewhere/airflow"

    def test_without_a_stack_it_says_what_to_do(
        self, spine: Spine, executed: list[Any], home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        del home
        monkeypatch.delenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", raising=False)
        failed = spine("airflow", "dags", "list")
        assert (failed.exit_code, executed) == (1, [])
        assert "make up" in failed.stderr

    def test_the_docs_name_no_other_way(self) -> None:
        pages = [PROJECT / "README.md", *(PROJECT / "docs").rglob("*.md")]
        bare = re.compile(r"(?<!spine )\bairflow (backfill|dags|tasks|connections|variables|db|pools|assets) [a-z]")
        assert [page.name for page in pages if bare.search(page.read_text())] == []


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ConfigError("x"), 2), (errors.AuthFailed("x"), 3), (errors.SyncInProgress("x"), 4), (errors.LakeError("x"), 1),
        (errors.ControlPlaneUnavailable("x"), 1), (errors.NothingToMatch("x"), 5),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)  # fmt: skip
def test_exit_codes_tell_the_kind_of_failure(error: errors.SpineError, code: int) -> None:
    assert exit_code(error) == code


def test_a_failure_is_one_line_without_a_traceback(spine: Spine, lake: str) -> None:
    failed = spine("quarantine", "list", "salesforce", "cat")
    assert failed.exit_code == 2
    assert failed.stderr.startswith("[CONFIG_INVALID]")
    assert len(failed.stderr.splitlines()) == 1
    assert failed.stdout == ""


@pytest.mark.parametrize(
    ("error", "ends"),
    [
        (errors.LakeError("the table is busy", hint="Wait"), "Wait. Run it again: nothing else does"),
        (errors.RateLimited("no calls for now", retry_after=90), "for now. Run it again in 90 s"),
        (errors.ConfigError("wrong", hint="Correct it"), "wrong. Correct it"),
    ],
)
def test_a_command_says_that_nothing_tries_it_again(
    spine: Spine, monkeypatch: pytest.MonkeyPatch, error: errors.SpineError, ends: str
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(world, "services", fail)
    assert spine("status").stderr.endswith(f"{ends}\n")


def test_valid_declarations(spine: Spine) -> None:
    assert spine("validate").stdout == (
        f"{len(source_names())} sources, {len(entity_names())} entities and {len(push_names())} ways back are valid\n"
    )
    assert json.loads(spine("validate", "--json").stdout) == {"ok": True, "mistakes": []}


def test_broken_declarations_name_file_and_line(spine: Spine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bad.yaml").write_text("source: bad\nlabel: Bad\ndomain: nowhere\nstreams: []\n")
    monkeypatch.setenv("SPINE_SOURCES", str(tmp_path))
    failed = spine("validate")
    assert failed.exit_code == 2
    assert "bad.yaml:3: domain" in failed.stdout
    assert json.loads(spine("validate", "--json").stdout)["ok"] is False


class TestQuery:
    """SQL over the lake: one tenant's rows, and nothing that is not a row of the lake."""

    @pytest.fixture(autouse=True)
    def _gold(self, gold: Callable[..., None]) -> None:
        gold("person", {"default": 2, "acme": 3})

    def test_every_table_is_a_view_of_one_tenant(self, spine: Spine) -> None:
        sql = "SELECT tenant_id, count(*) AS n FROM gold_party_person GROUP BY ALL"
        assert json.loads(spine("query", sql, "--json").stdout) == [{"tenant_id": "default", "n": 2}]
        assert json.loads(spine("query", sql, "--json", "--tenant", "acme").stdout) == [{"tenant_id": "acme", "n": 3}]
        assert json.loads(spine("query", sql, "--json", "--tenant", "nobody").stdout) == []
        assert "gold_identity_links" in spine("query", "SHOW TABLES").stdout

    def test_values_of_every_type_are_json(self, spine: Spine) -> None:
        row = json.loads(spine("query", "FROM gold_party_person ORDER BY entity_id LIMIT 1", "--json").stdout)[0]
        assert (row["birth_date"], row["first_seen_at"], row["do_not_contact"]) == ("1980-02-29", "2026-01-31T08:15:00Z", True)
        assert json.loads(spine("query", "SELECT 1.5::decimal(9,2) AS a, 2 AS a", "--json").stdout) == [{"a": "1.50", "a_2": 2}]

    def test_long_answers_say_that_they_are_cut(self, spine: Spine) -> None:
        cut = spine("query", "SELECT * FROM range(5)", "--limit", "3")
        assert "first 3 rows" in cut.stderr
        assert spine("query", "SELECT * FROM range(5)", "--limit", "0", "--json").stdout.count("range") == 5

    @pytest.mark.parametrize(
        "sql",
        [
            "SELECT * FROM read_csv('/etc/passwd')",
            "SELECT * FROM '/etc/passwd'",
            "SELECT * FROM read_parquet('{lake}/gold_party_person/tenant_id=acme/*.parquet')",
            "SELECT * FROM delta_scan('{lake}/gold_party_person')",
            "SELECT * FROM glob('{lake}/*')",
            "SELECT content FROM read_text('/etc/passwd')",
            "ATTACH '{lake}/x.db'",
            "COPY (SELECT 1) TO '{lake}/out.csv'",
            "EXPORT DATABASE '{lake}/out'",
            "INSTALL httpfs",
            "LOAD '/tmp/evil.so'",
            "SET enable_external_access = true",
            "RESET enable_external_access",
            "SET lock_configuration = false",
            "SET python_enable_replacements = true",
            "SELECT * FROM tables",
            "SELECT getenv('HOME')",
            "INSERT INTO gold_party_person SELECT * FROM gold_party_person",
            "DELETE FROM gold_party_person",
        ],
    )
    def test_sql_reaches_nothing_else(self, spine: Spine, lake: str, sql: str) -> None:
        refused = spine("query", sql.format(lake=lake))
        assert refused.exit_code == 2, refused.stdout
        assert refused.stdout == ""
        assert not list(Path(lake).glob("out*"))

    def test_a_table_without_tenants_is_not_shown(self, spine: Spine, lake: str) -> None:
        import pyarrow as pa
        from deltalake import write_deltalake

        write_deltalake(f"{lake}/loose", pa.table({"tenant_id": ["acme"]}))
        assert spine("query", "FROM loose").exit_code == 2

    def test_a_tenant_that_is_no_slug_is_refused(self, spine: Spine) -> None:
        assert spine("query", "SELECT 1", "--tenant", "a' OR true").exit_code == 2


@pytest.mark.postgres
class TestPublish:
    """`spine publish`."""

    def test_all_entities_or_one(self, spine: Spine, gold: Callable[..., None], gold_url: str) -> None:
        matched = [entity.entity for entity in matched_entities()]
        for name in matched:
            gold(name)
        every = json.loads(spine("publish", "--json").stdout)
        assert [(item["entity"], item["published"]) for item in every] == [(name, True) for name in matched]
        assert {"organization", "person"} <= set(matched)
        again = spine("publish", "person")
        assert again.exit_code == 0
        assert "no" in again.stdout

    def test_before_the_first_resolution_it_says_what_to_do(self, spine: Spine, lake: str, gold_url: str) -> None:
        failed = spine("publish", "person")
        assert failed.exit_code == 2
        assert "spine resolve person" in failed.stderr


@pytest.mark.postgres
class TestSync:
    """`spine sync` without Silver, and the cursors it leaves."""

    def test_a_dry_run_shows_how_rows_are_mapped_and_leaves_no_trace(
        self, spine: Spine, services: Services, lake: str, spark_server: dict[str, str]
    ) -> None:
        done = spine("sync", "people_files", "--dry-run", "--json")
        assert done.exit_code == 0, done.stderr
        (stream,) = json.loads(done.stdout)["streams"]
        assert (stream["stream"], stream["rows"], len(stream["mapped_rows"])) == ("people", 2, 2)
        assert [(row["given_name"], row["email"]) for row in stream["mapped_rows"]] == [("Ada", "ada@example.org"), ("Alan", None)]
        assert "birth_date" in stream["empty_fields"]
        assert "Warning: default · people: no record has anything for" in spine("sync", "people_files", "--dry-run").stderr
        assert [source["last_run"]["mode"] for source in json.loads(spine("status", "people_files", "--json").stdout)["sources"]] == [
            "dry_run"
        ]
        assert list(Path(lake).iterdir()) == []
        assert json.loads(spine("cursor", "show", "people_files", "--json").stdout)[0]["value"] is None

    def test_a_busy_connection_has_its_own_exit_code(self, spine: Spine, services: Services) -> None:
        name = connection_id("people_files")
        locks.acquire(services.database.of("default"), name, "another")
        try:
            refused = spine("sync", "people_files", "--dry-run")
            assert (refused.exit_code, refused.stdout) == (4, "")
            assert "another" in refused.stderr
        finally:
            locks.release(services.database.of("default"), name, "another")

    def test_a_cursor_is_not_moved_under_a_running_sync(self, spine: Spine, services: Services) -> None:
        name = connection_id("salesforce")
        locks.acquire(services.database.of("default"), name, "another")
        try:
            assert spine("cursor", "set", "salesforce", "contacts", "2026-02-01T00:00:00Z").exit_code == 4
        finally:
            locks.release(services.database.of("default"), name, "another")

    def test_the_files_that_were_read_are_no_cursor_to_move(self, spine: Spine, services: Services) -> None:
        assert "--mode full" in spine("cursor", "set", "people_files", "people", "2026-02-01T00:00:00Z").stderr

    def test_a_failed_sync_gives_the_connection_back(self, spine: Spine, services: Services) -> None:
        failed = spine("sync", "hubspot", "--dry-run")
        assert failed.exit_code == 2
        assert "ipai_connector_hubspot" in failed.stderr
        assert locks.held(services.database.of("default"), connection_id("hubspot")) is None

    @pytest.mark.parametrize(
        "words", [("--mode", "sideways"), ("--stream", "nothing"), ("--since", "yesterday"), ("--since", "2026-01-01")]
    )
    def test_wrong_arguments_are_refused(self, spine: Spine, services: Services, words: tuple[str, ...]) -> None:
        assert spine("sync", "people_files", *words).exit_code == 2

    def test_cursors_are_shown_set_and_rewound(self, spine: Spine, services: Services) -> None:
        assert spine("cursor", "rewind", "salesforce", "contacts", "2026-01-01T00:00:00Z").exit_code == 2
        assert spine("cursor", "set", "salesforce", "contacts", "2026-02-01T00:00:00Z").exit_code == 0
        assert "2026-01-01" in spine("cursor", "rewind", "salesforce", "contacts", "2026-01-01T00:00:00Z").stdout
        rows = json.loads(spine("cursor", "show", "salesforce", "--json").stdout)
        assert {row["stream"]: row["value"] for row in rows if row["value"]} == {"contacts": "2026-01-01T00:00:00Z"}
        assert spine("cursor", "set", "salesforce", "contacts", "2999-01-01T00:00:00Z").exit_code == 2
        assert spine("cursor", "set", "salesforce", "nothing", "2026-01-01T00:00:00Z").exit_code == 2
        assert "contacts" in spine("cursor", "show", "salesforce").stdout

    def test_cursors_that_are_numbers(
        self, spine: Spine, services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:  # fmt: skip
        folder = tmp_path / "counting"
        folder.mkdir()
        cursor = {"field": "seq", "type": "number", "since": "after"}
        source = {"source": "shop", "label": "Shop", "domain": "finops", "streams": [{"name": "sales", "key": ["id"], "cursor": cursor}]}
        (folder / "shop.yaml").write_text(json.dumps(source))
        monkeypatch.setenv("SPINE_SOURCES", str(folder))
        assert spine("cursor", "set", "shop", "sales", "1000").stdout == "sales: cursor is 1000\n"
        assert json.loads(spine("cursor", "show", "shop", "--json").stdout)[0]["value"] == "1000".zfill(20)  # as texts sort
        assert spine("cursor", "rewind", "shop", "sales", "2000").exit_code == 2
        assert spine("cursor", "rewind", "shop", "sales", "990").stdout == "sales: cursor is 990\n"
        assert " 990 " in spine("cursor", "show", "shop").stdout
        for wrong in ("2026-01-31T08:15:00Z", "-1", "1.5", "all"):
            assert spine("cursor", "set", "shop", "sales", "--", wrong).exit_code == 2

    def test_status_of_an_empty_spine(self, spine: Spine, services: Services) -> None:
        found = json.loads(spine("status", "--json").stdout)
        assert {source["source"] for source in found["sources"]} == set(source_names())
        assert {entity["published_at"] for entity in found["gold"]} == {None}
        assert spine("status", "salesforce", "--tenant", "nobody").exit_code == 0

    def test_status_says_what_is_published(
        self, spine: Spine, services: Services, gold: Callable[..., None], control_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SPINE_POSTGRES", control_url)
        gold("person", {"default": 2})
        spine("publish", "person")
        people: dict[str, Any] = next(item for item in json.loads(spine("status", "--json").stdout)["gold"] if item["entity"] == "person")
        assert (people["rows"], people["linked_records"], people["published_rows"]) == (2, 4, 2)
        assert people["run_id"].startswith("cli__")


@pytest.mark.postgres
class TestConnector:
    """`spine connector`: what an operator does about a connection."""

    @pytest.fixture(autouse=True)
    def _tenants(self, services: Services) -> None:
        services.variables.set("spine.tenants", '{"people_files": ["default", "acme"]}')

    def test_pausing_and_resuming_concern_one_tenant(self, spine: Spine, services: Services) -> None:
        assert "paused by" in spine("connector", "pause", "people_files", "--tenant", "acme", "--reason", "holiday").stdout
        states = {row["tenant"]: row["state"] for row in json.loads(spine("connector", "list", "people_files", "--json").stdout)}
        assert states == {"default": "active", "acme": "paused"}
        assert "holiday" in spine("sync", "people_files", "--tenant", "acme", "--dry-run").stderr
        assert spine("sync", "people_files", "--tenant", "default", "--dry-run").exit_code == 0
        assert "is active" in spine("connector", "resume", "people_files", "--tenant", "acme").stdout
        assert spine("sync", "people_files", "--tenant", "acme", "--dry-run").exit_code == 0

    def test_the_list_shows_the_tenants_that_were_asked_for(self, spine: Spine, services: Services) -> None:
        rows = json.loads(spine("connector", "list", "--tenant", "acme", "--json").stdout)
        assert {row["tenant"] for row in rows} == {"acme"}
        assert "refused_fingerprint" not in rows[0]

    def test_a_test_says_which_streams_answer(self, spine: Spine, services: Services) -> None:
        found = json.loads(spine("connector", "test", "people_files", "--json").stdout)
        assert (found["ok"], [(row["stream"], row["records"]) for row in found["streams"]]) == (True, [("people", 2)])
        assert "employee_id" in spine("connector", "test", "people_files").stdout

    def test_a_connection_that_is_not_there_is_a_mistake(self, spine: Spine, services: Services) -> None:
        assert spine("connector", "test", "hubspot").exit_code == 2
        assert "spine tenant add" in spine("connector", "pause", "people_files", "--tenant", "nobody", "--reason", "x").stderr


def test_maintain_from_the_command_line(spine: Spine, gold: Callable[..., None], home: Path) -> None:
    gold("person")
    result = json.loads(spine("maintain", "--dry-run", "--json").stdout)
    assert (result["dry_run"], result["tables"]) == (True, 5)
    assert "files vacuumed" in spine("maintain").stdout


def test_options_that_belong_together_are_one_object() -> None:
    @dataclass(frozen=True)
    class Where:
        town: Annotated[str, typer.Option(help="A town.")]
        number: Annotated[int, typer.Option(help="A number.")] = 7

    seen: list[tuple[Where, bool]] = []

    def visit(where: Where, loud: Annotated[bool, typer.Option("--loud")] = False) -> None:
        """Go there."""
        seen.append((where, loud))

    visit.__annotations__ = {"where": Where, "loud": Annotated[bool, typer.Option("--loud")], "return": None}
    application = typer.Typer()
    application.command()(grouped(visit))
    assert CliRunner().invoke(application, ["--town", "Oslo", "--loud"]).exit_code == 0
    assert CliRunner().invoke(application, ["--number", "8"]).exit_code == 2, "a field without a default is required"
    assert "A number." in CliRunner().invoke(application, ["--help"]).output
    assert seen == [(Where("Oslo", 7), True)]
