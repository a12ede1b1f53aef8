"""What a steward types and sees: orders, their undoing, the queue, golden records now and then."""

from __future__ import annotations

import getpass
import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from typer.testing import CliRunner, Result

from spine.cli.commands import app
from spine.core.entities import load_entity
from spine.lake.paths import table_uri
from spine.lake.silver import silver_schema
from spine.pipeline.resolve import resolve

Spine = Callable[..., Result]
ADA = {"given_name": "Ada", "family_name": "Lovelace", "email": "ada@lovelace.org"}
ONE, TWO, THREE = (f"people_files:people:{number}" for number in (1, 2, 3))


@pytest.fixture(scope="module")
def resolved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with Ada (two records) and Alan, resolved."""
    folder = tmp_path_factory.mktemp("resolved")
    schema, moment = silver_schema(load_entity("person")), datetime(2026, 1, 5, tzinfo=UTC)
    people = [ADA, {**ADA, "city": "London"}, {"given_name": "Alan", "family_name": "Turing", "email": "alan@turing.org"}]
    rows = [
        {"tenant_id": "default", "record_ref": f"people_files:people:{number}", "source": "people_files", "stream": "people",
         "record_id": str(number), "connection_id": "c", "is_deleted": False, "emitted_at": moment, "updated_at": moment, **person}
        for number, person in enumerate(people, 1)
    ]  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPINE_LAKE", str(folder))
        table = pa.Table.from_pylist([{name: row.get(name) for name in schema.names} for row in rows], schema)
        write_deltalake(table_uri("people_files_person"), table, partition_by=["tenant_id"])
        resolve(None, "person", "r1")
    return folder


@pytest.fixture
def spine(resolved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Spine:
    """Run a command in this process on a lake of the test's own."""
    shutil.copytree(resolved, tmp_path / "lake")
    monkeypatch.setenv("SPINE_LAKE", str(tmp_path / "lake"))
    return lambda *words: CliRunner().invoke(app, list(words), prog_name="spine")


def ids(spine: Spine) -> dict[str, str]:
    found = spine("query", "FROM gold_identity_links", "--json")
    return {row["record_ref"]: row["entity_id"] for row in json.loads(found.stdout)}


def asked(spine: Spine, *words: str) -> Any:
    result = spine(*words, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_a_link_and_how_to_take_it_back(spine):
    former = ids(spine)
    shown = spine("link", ONE, THREE, "--reason", "same badge")
    assert shown.exit_code == 0, shown.stderr
    assert "linked" in shown.stdout
    assert "same badge" in shown.stdout
    change = shown.stderr.split("spine undo ")[1].split()[0]
    listed = asked(spine, "overrides")
    assert [(row["kind"], row["actor"]) for row in listed] == [("must_link", getpass.getuser())]
    assert spine("undo", change, "-r", "it was not").exit_code == 0
    assert ids(spine) == former
    assert asked(spine, "overrides") == []
    assert len(asked(spine, "overrides", "person", "--all")) == 1
    assert "undone_at" in spine("overrides", "--all").stdout


def brief(rows: list[dict[str, Any]]) -> list[tuple[str, int]]:
    return [(row["name"], row["records"]) for row in rows]


def test_an_order_says_who_is_now_one(spine):
    found = ids(spine)
    done = asked(spine, "link", ONE, THREE, "--reason", "same badge")
    assert brief(done["before"]) == [("Ada Lovelace", 2), ("Alan Turing", 1)]
    assert {row["entity_id"] for row in done["before"]} == {found[ONE], found[THREE]}
    assert (brief(done["now"]), done["now"][0]["entity_id"]) == ([("Ada Lovelace", 3)], ids(spine)[ONE])
    undone = asked(spine, "undo", done["change_id"], "--reason", "no")
    assert (brief(undone["before"]), brief(undone["now"])) == ([("Ada Lovelace", 3)], [("Ada Lovelace", 2), ("Alan Turing", 1)])
    apart = asked(spine, "unlink", ONE, TWO, "--reason", "sisters")
    assert (brief(apart["before"]), brief(apart["now"])) == ([("Ada Lovelace", 2)], [("Ada Lovelace", 1)] * 2)
    nothing = asked(spine, "unlink", ONE, THREE, "--reason", "never were")
    assert nothing["before"] == nothing["now"]
    merged = spine("merge", found[THREE], ids(spine)[ONE], "--reason", "called her", "--actor", "anna")
    assert merged.exit_code == 1, "the never-link stands"
    shown = spine("link", TWO, THREE, "--reason", "same badge").stdout
    before, now = shown.split("Now")
    assert ("Alan Turing" in before, "Ada Lovelace" in before, found[THREE] in before) == (True, True, True)
    assert next(line.split()[-1] for line in now.splitlines() if line.strip().startswith("per_")) == "2"


def test_merge_split_unlink_name_their_actor(spine):
    found = ids(spine)
    asked(spine, "merge", found[ONE], found[THREE], "--reason", "called her", "--actor", "anna")
    assert len(set(ids(spine).values())) == 1
    refused = spine("split", found[ONE], THREE, "--reason", "no")
    assert (refused.exit_code, "[IDENTITY_CONFLICT] A steward's must-link ties" in refused.stderr) == (1, True)
    change = asked(spine, "overrides")[0]["change_id"]
    asked(spine, "undo", change, "--reason", "no", "--actor", "ben")
    asked(spine, "unlink", ONE, TWO, "--reason", "sisters", "--actor", "ben")
    assert len(set(ids(spine).values())) == 3


def test_a_reason_is_required(spine):
    refused = spine("link", ONE, THREE)
    assert refused.exit_code == 2
    assert "--reason" in refused.stderr


def test_the_queue(spine):
    asked(spine, "unlink", ONE, TWO, "--reason", "sisters")
    assert asked(spine, "review", "person") == []
    assert "Nothing waits for a steward" in spine("review").stdout


def test_a_golden_record_now_and_then(spine):
    before = ids(spine)
    now = asked(spine, "entity", before[ONE])
    assert (now["values"]["family_name"]["value"], now["values"]["family_name"]["source"]) == ("Lovelace", "people_files")
    assert now["records"] == [ONE, TWO]
    asked(spine, "merge", before[ONE], before[THREE], "--reason", "called her")
    gone = ({before[ONE], before[THREE]} - set(ids(spine).values())).pop()
    shown = spine("entity", gone)
    assert "3 records" in shown.stdout
    assert f"{gone} was merged into it" in shown.stderr
    then = asked(spine, "entity", gone, "--as-of", now["first_seen_at"])
    assert then["entity_id"] == gone
    refused = spine("entity", gone, "--as-of", "2020-01-01T00:00Z")
    assert (refused.exit_code, "was not there yet" in refused.stderr) == (2, True)
