"""A marked person in every field, and all that can go wrong with her records: logs, results, events, run tables and pages tell none of it.

References of records (source:stream:id), names of fields, and counts may be told. The lake and schema `gold` hold the records themselves.
"""

from __future__ import annotations

import csv
import io
import logging
import os
import sys
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pytest
from typer.testing import CliRunner

from spine.cli.commands import app
from spine.core.errors import PublishFailed, QualityFailed, SchemaMismatch, SpineError
from spine.dagkit.quiet import quiet
from spine.pipeline.job import read_outcome, run_job
from spine.pipeline.normalize import normalize
from spine.pipeline.resolve import resolve_each

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.spark, pytest.mark.postgres]
TENANT = "corfu"
MARK = f"mk{os.urandom(3).hex()}"
PERSON = {
    "first_name": f"Given{MARK}", "last_name": f"Family{MARK}", "email": f"mail{MARK}@person.example", "phone": "+49 30 55518764",
    "date_of_birth": "1931-07-29", "street": f"Street{MARK} 5", "city": f"City{MARK}", "postcode": "90417", "country": "DE",
    "employer": f"Employer{MARK}",
}  # fmt: skip
TELLING = [MARK, MARK.capitalize(), "55518764", "1931-07-29", "19310729"]


# What PostgreSQL quotes a row for: in its detail, and in the first line itself.
_SPOILT = (
    "ALTER TABLE gold.party_person ADD CONSTRAINT spoilt CHECK (city IS NULL) NOT VALID",
    """
    CREATE FUNCTION gold.spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM NEW.city::integer; RETURN NEW; END $$;
    CREATE TRIGGER spoilt BEFORE INSERT ON gold.party_person FOR EACH ROW EXECUTE FUNCTION gold.spoil();
    """,
)


def rows(ids: range, **changed: Any) -> str:
    out = io.StringIO()
    people = [{"employee_id": f"e{number}", **PERSON, "updated_at": "2026-01-05T00:00:00Z", **changed} for number in ids]
    writer = csv.DictWriter(out, list(people[0]))
    writer.writeheader()
    writer.writerows(people)
    return out.getvalue()


def _normalize(spark: Any, source: str, run_id: str, database: Any) -> dict[str, Any]:
    return normalize(spark, source, run_id, database=database).to_json()


class Story:
    """What happened, and everything that it left behind."""

    def __init__(self, world: Any, folder: Path) -> None:
        self.world, self.folder = world, folder
        self.kinds: set[type] = set()
        self.texts: list[str] = []

    def drop(self, name: str, content: str | bytes) -> None:
        path = self.world.server.sandbox.drop / TENANT / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def step(self, work: Callable[..., Any], *arguments: Any) -> None:
        """As a task: what it returns or raises, as Airflow prints and keeps it."""
        try:
            self.texts.append(repr(quiet(work)(*arguments)))
        except SpineError as error:
            self.kinds.add(type(error))
            self.texts += [*traceback.format_exception(error), error.line(), orjson.dumps(error.as_dict()).decode()]

    def job(self, work: Callable[..., Any], *arguments: Any) -> None:
        """As a Spark job: its result file, and what its caller raises."""
        result = self.folder / "result.json"
        with self.world.here():
            run_job(lambda: work(self.world.spark, *arguments), result)
        self.texts.append(result.read_text())
        error = read_outcome(result, "job")[1]
        self.kinds |= {type(error)} if error else set()

    def read(self, run_id: str) -> None:
        """Extract and normalise."""
        self.step(self.world.extract, "people_files", run_id)
        self.job(_normalize, "people_files", run_id, self.world.services.database)

    def left(self) -> list[str]:
        """Rows of the control plane, Variables, files of the home, the Spark server's log."""
        found = [repr(self.world.services.variables.get(name)) for name in self.world.services.variables.keys("")]
        with psycopg.connect(self.world.admin_url) as admin:
            for (name,) in admin.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'spine'").fetchall():
                found += [f"{name}: {row}" for row in admin.execute(f"SELECT * FROM spine.{name}").fetchall()]  # type: ignore[arg-type]
        files = [path for path in (self.world.folder / "home").rglob("*") if path.is_file()]
        log = Path(self.world.spark.conf.get("spark.sql.warehouse.dir").removeprefix("file:")).with_name("logs") / "spark-connect.log"
        return found + [path.read_text(errors="replace") for path in [*files, log]]


@pytest.fixture(scope="module")
def story(make_world: Any, tmp_path_factory: pytest.TempPathFactory) -> Story:
    """Good rows, bad rows, files that are none, drift, a gate that refuses, keys of too many records, conflicts, publications that fail."""
    world = make_world({TENANT: 60})
    story = Story(world, tmp_path_factory.mktemp("story"))
    handler = logging.StreamHandler(io.StringIO())
    root, ours = logging.getLogger(), logging.getLogger("spine")
    level = ours.level
    root.addHandler(handler)
    ours.setLevel(logging.DEBUG)
    said, sys.stderr = sys.stderr, io.StringIO()
    try:
        _happen(story, world)
    finally:
        story.texts += [handler.stream.getvalue(), sys.stderr.getvalue()]
        sys.stderr = said
        root.removeHandler(handler)
        ours.setLevel(level)
    return story


def _happen(story: Story, world: Any) -> None:
    story.drop("people_a.csv", rows(range(80)))
    story.read("good")
    story.job(resolve_each, "person", "resolved")
    story.step(world.publish, "person", "published")
    story.drop("people_b.csv", rows(range(100, 103), date_of_birth=f"born {MARK}", phone=f"call {MARK}", email=f"{MARK} at home"))
    story.drop("people_d.csv", rows(range(300, 302)).encode().replace(b"Street", b"Stra\xdfe"))
    story.drop("people_e.csv", rows(range(400, 425)).replace("employer", "nickname"))
    story.read("bad rows, drift")
    broken = (f'{{"employee_id": "e200", "email": "{PERSON["email"]}", }}', f'"{PERSON["last_name"]}"', f'{{"email": "{MARK}"}}')
    story.drop("people_c.jsonl", "\n".join(broken))
    story.read("broken lines")
    (world.server.sandbox.drop / TENANT / "people_c.jsonl").unlink()
    story.drop("people_f.csv", rows(range(500, 502)).replace("employee_id", "number"))
    story.read("no key")
    (world.server.sandbox.drop / TENANT / "people_f.csv").unlink()
    story.drop("people_h.csv", "".join(_relative(number) for number in range(320)))  # of one name and one telephone
    story.read("relatives")
    story.job(partial(resolve_each, relearn="always"), "person", "relatives")
    story.drop("people_g.csv", rows(range(600, 900), email=f"{MARK} at home", date_of_birth="2999-07-29"))
    story.read("gate")
    refs = [f"people_files:people:e{number}" for number in range(3)]
    for words in (
        ["link", *refs[:2]],
        ["unlink", *refs[:2]],
        ["link", *refs[1:]],
        ["unlink", refs[0], refs[2]],
        ["link", refs[0], refs[2]],
    ):
        story.step(_steward, world, words)
    with psycopg.connect(world.admin_url, autocommit=True) as admin:
        for spoil in _SPOILT:
            admin.execute("DELETE FROM gold.publication_state; DELETE FROM gold.party_person")
            admin.execute(spoil)
            story.step(world.publish, "person", "spoilt")
            admin.execute(
                "DROP FUNCTION gold.spoil() CASCADE" if "FUNCTION" in spoil else "ALTER TABLE gold.party_person DROP CONSTRAINT spoilt"
            )


def _relative(number: int) -> str:
    letters = "".join(chr(97 + (number * step + step) % 26) for step in (1, 3, 7, 11, 5))
    names = {"first_name": f"{letters}{MARK}", "email": f"{letters}{number}@{MARK}.example"}
    text = rows(
        range(2000 + number, 2001 + number), **names, date_of_birth=f"19{number % 60 + 20}-0{number % 9 + 1}-11", street="", city=""
    )
    return text if number == 0 else text.partition("\n")[2]


def _steward(world: Any, words: list[str]) -> str:
    """What a command says when it is refused; what it shows of records is for the steward's eyes."""
    with world.here():
        done = CliRunner().invoke(app, [*words, "--tenant", TENANT, "--reason", "test"], prog_name="spine")
    return f"{done.exit_code} {done.stderr}"


@pytest.mark.parametrize("kind", [SchemaMismatch, QualityFailed, PublishFailed])
def test_it_went_wrong_as_it_should(story: Story, kind: type) -> None:
    assert kind in story.kinds


def test_keys_of_too_many_records_were_told_without_their_values(story: Story) -> None:
    assert any("blocking keys with too many records" in text for text in story.texts)


def test_nothing_that_is_logged_returned_or_kept_beside_the_records_tells_of_her(story: Story) -> None:
    texts = [*story.texts, *story.left()]
    assert [text[max(0, text.find(word) - 300) : text.find(word) + 60] for text in texts for word in TELLING if word in text] == []
