"""Records whose every text would move a cursor, through every command that shows records: the terminal obeys none of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from typer.testing import CliRunner, Result

from spine.cli.commands import app
from spine.core.entities import load_entity
from spine.lake.paths import table_uri
from spine.lake.quarantine import quarantine_schema
from spine.lake.silver import silver_schema
from spine.pipeline.resolve import resolve

pytestmark = pytest.mark.slow
EVIL = "\x1b[2J\x9b1m\u202e\u2066\x07\r\u200f[link=https://evil.example][/x]"  # the last two are words to rich, which draws the tables
OBEYED = set("\x1b\x9b\u202e\u2066\x07\r\u200f")
WHEN = datetime(2026, 1, 5, tzinfo=UTC)
ADA = {"given_name": f"Ada{EVIL}", "family_name": f"Lovelace{EVIL}", "email": f"ada{EVIL}@lovelace.org", "city": f"Ulm{EVIL}"}
ONE, TWO, THREE = (f"people_files:people:{number}{EVIL}" for number in (1, 2, 3))


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("escapes")
    schema = silver_schema(load_entity("person"))
    people = [ADA, ADA, {**ADA, "given_name": f"Alan{EVIL}", "family_name": "Turing", "email": "alan@turing.org"}]
    rows = [
        {"tenant_id": "default", "record_ref": ref, "source": "people_files", "stream": "people", "record_id": ref.rpartition(":")[2],
         "connection_id": "c", "is_deleted": False, "emitted_at": WHEN, "updated_at": WHEN, **person}
        for ref, person in zip((ONE, TWO, THREE), people, strict=True)
    ]  # fmt: skip
    kept = {
        "tenant_id": "default", "record_ref": ONE, "source": "people_files", "stream": "people", "record_id": "1", "connection_id": "c",
        "payload": json.dumps(ADA, ensure_ascii=False), "op": "upsert", "emitted_at": WHEN, "quarantined_at": WHEN, "status": "open",
        "reasons": [{"rule": "r", "field": f"f{EVIL}", "reason": f"why{EVIL}"}], "quarantine_id": "3f9a77c1", "run_id": f"r{EVIL}",
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPINE_LAKE", str(folder))
        table = pa.Table.from_pylist([{name: row.get(name) for name in schema.names} for row in rows], schema)
        write_deltalake(table_uri("people_files_person"), table, partition_by=["tenant_id"])
        full = [{name: kept.get(name) for name in quarantine_schema().names}]
        write_deltalake(
            table_uri("quarantine_people_files_person"), pa.Table.from_pylist(full, quarantine_schema()), partition_by=["tenant_id"]
        )
        resolve(None, "person", "r1")
        yield folder


def spine(*words: str) -> Result:
    return CliRunner().invoke(app, list(words), prog_name="spine")


def entity_id() -> str:
    rows = json.loads(spine("query", "FROM gold_identity_links", "--json").stdout)
    return next(row["entity_id"] for row in rows if row["record_ref"] == ONE)


COMMANDS = [
    ("query", "FROM gold_party_person"),
    ("query", "FROM gold_party_person", "--json"),
    ("why", ONE, TWO),
    ("why", ONE, THREE, "--json"),
    ("how", "ID"),
    ("how", "ID", "--json"),
    ("entity", "ID"),
    ("review", "person"),
    ("unlink", ONE, TWO, "--reason", f"father{EVIL}"),
    ("overrides", "person"),
    ("overrides", "person", "--json"),
    ("quarantine", "list", "people_files", "person"),
    ("quarantine", "show", "people_files", "person", "3f9a"),
    ("quarantine", "show", "people_files", "person", "3f9a", "--json"),
]


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words[:3]).encode("ascii", "ignore").decode().replace("\x1b", ""))
def test_what_a_command_shows_of_records_moves_nothing(lake: Path, words: tuple[str, ...]) -> None:
    done = spine(*(entity_id() if word == "ID" else word for word in words))
    assert done.exit_code == 0, done.output
    assert not OBEYED & set(done.stdout + done.stderr)
    if words[0] != "review":
        assert "\\u0" in done.stdout, "the value is shown, and written out"
        assert "evil" in done.stdout.replace("\n", ""), "and so is what looks like a link"


@pytest.mark.parametrize(
    "words",
    [("why", f"a:b:{EVIL}", ONE), ("link", f"a:b:{EVIL}", ONE, "--reason", "x"), ("entity", f"per_{EVIL}"), ("query", f"SELECT {EVIL}")],
)
def test_an_error_that_repeats_a_value_moves_nothing(lake: Path, words: tuple[str, ...]) -> None:
    done = spine(*words)
    assert done.exit_code
    assert done.output
    assert not OBEYED & set(done.stdout + done.stderr)


def test_a_file_and_its_report_move_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SPINE_HOME", str(tmp_path / "home"))
    Path("person.yaml").write_text("entity: person\nrecord_id: id\nattributes: {given: forename, family: surname}\n")
    hostile = EVIL.replace("\r", "")
    Path("people.csv").write_text("id,given,family\n" + "".join(f"{n}{hostile},Ada{hostile},Love{hostile}\n" for n in (1, 2, 2)))
    twice = spine("match", "people.csv", "-e", "person.yaml", "-o", "clusters.csv")
    assert twice.exit_code == 2
    assert "not unique" in twice.stderr
    assert not OBEYED & set(twice.output)
    Path("people.csv").write_text(f"id,given{hostile}\n1,Ada\n")
    assert not OBEYED & set(spine("match", "people.csv", "-e", "person.yaml", "-o", "clusters.csv").output)
