"""One-record lookups against a million golden records in the embedded PostgreSQL (under 100 ms each).

`python benchmarks/lookup.py [--entities N] [--changed N] [--check]` writes Silver and Gold of N people, of whom every tenth is known to
two systems, publishes them, publishes again after some changed, and asks 200 questions of three kinds: all values, name and e-mail alone,
and people who are not there. Prints seconds and sizes of the publications and the time of the questions, straight after publishing and
again; with `--check` the exit code says whether 95 of 100 stay below the limit at the first time.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable, write_deltalake

from spine.control import embedded
from spine.control.bootstrap import bootstrap
from spine.control.database import Database
from spine.core.entities import load_entity
from spine.core.settings import settings
from spine.gold.lookup import Lookup
from spine.gold.publish import publish
from spine.identity import engine
from spine.lake import gold
from spine.lake.paths import table_uri
from spine.lake.silver import silver_schema
from spine.sandbox.names import COUNTRIES, COUNTRY_WEIGHTS, FREE_MAIL, FREE_MAIL_WEIGHTS, pool, slug
from spine.sandbox.places import make_place

LIMIT = 100.0
QUESTIONS = 200
LEARN = 100_000
DRAWS = 40_000
NOW = datetime(2026, 1, 31, tzinfo=UTC)
PERSON = load_entity("person")
ATTRIBUTES = list(PERSON.matching.attributes) if PERSON.matching else []


def people(count: int, seed: int = 1) -> pa.Table:
    """Attributes of `count` people: names and places with the skew of the sandbox, drawn at once."""
    dice, numbers = Random(seed), np.random.default_rng(seed)
    countries = dice.choices(COUNTRIES, COUNTRY_WEIGHTS, k=DRAWS)
    given = np.asarray([(pool(c).male if dice.random() < 0.5 else pool(c).female).draw(dice) for c in countries], dtype=object)
    family = np.asarray([pool(c).surnames.draw(dice) for c in countries], dtype=object)
    places = [make_place(dice) for _ in range(DRAWS)]
    first, last, at = (numbers.integers(0, DRAWS, count) for _ in range(3))
    house, born = numbers.integers(1, 400, count), numbers.integers(-9000, 15000, count)
    hosts = numbers.choice(np.asarray(FREE_MAIL, dtype=object), count, p=np.asarray(FREE_MAIL_WEIGHTS) / sum(FREE_MAIL_WEIGHTS))
    short = {name: slug(name) for name in {*given.tolist(), *family.tolist()}}
    mails = [
        f"{short[given[one]]}.{short[family[two]]}{number}@{host}"
        for one, two, number, host in zip(
            first.tolist(), last.tolist(), numbers.integers(1, 9999, count).tolist(), hosts.tolist(), strict=True
        )
    ]
    street = np.asarray([place.street.lstrip("0123456789 ") for place in places], dtype=object)
    columns = {
        "given_name": given[first], "family_name": family[last], "email": np.asarray(mails, dtype=object),
        "phone": numbers.integers(2_000_000_000, 9_999_999_999, count).astype(str).astype(object),
        "street": house.astype(str).astype(object) + " " + street[at],
        "city": np.asarray([place.city for place in places], dtype=object)[at],
        "postcode": np.asarray([place.postcode for place in places], dtype=object)[at],
    }  # fmt: skip
    table = pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
    return table.append_column("birth_date", pc.cast(pa.array(born.astype(np.int32)), pa.date32()))


def records(found: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Silver rows and links: every person in one system, every tenth in a second one without phone and address."""
    again = found.take(pa.array(np.arange(0, found.num_rows, 10)))
    for name in ("phone", "street", "city", "postcode"):
        again = again.set_column(again.schema.get_field_index(name), name, pa.nulls(again.num_rows, pa.string()))
    parts, links = [], []
    for source, table, step in (("salesforce", found, 1), ("hubspot", again, 10)):
        ids = pc.cast(pa.array(np.arange(0, found.num_rows, step)), pa.string())
        padded = pc.utf8_lpad(ids, 9, "0")
        keys = {
            "tenant_id": pa.repeat("default", len(ids)), "source": pa.repeat(source, len(ids)), "stream": pa.repeat("contacts", len(ids)),
            "record_id": padded, "record_ref": pc.binary_join_element_wise(f"{source}:contacts", padded, ":"),
        }  # fmt: skip
        for name, values in keys.items():
            table = table.append_column(name, values)
        parts.append(table)
        ids = pc.binary_join_element_wise("per", padded, "_")
        links.append(pa.table({**keys, "entity": pa.repeat("person", len(padded)), "entity_id": ids}))
    return pa.concat_tables(parts), pa.concat_tables(links)


def filled(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table with all columns of `schema`, null where it has none."""
    columns = [pc.cast(table.column(f.name), f.type) if f.name in table.column_names else pa.nulls(table.num_rows, f.type) for f in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def write_lake(found: pa.Table) -> None:
    """Silver and Gold as `resolve` would leave them, with weights learned from the first LEARN records."""
    silver, links = records(found)
    for source in ("salesforce", "hubspot"):
        mine = filled(silver.filter(pc.field("source") == source), silver_schema(PERSON))
        write_deltalake(table_uri(f"{source}_person"), mine, partition_by=["tenant_id"])
    gold.ensure_tables(PERSON)
    write_deltalake(table_uri(gold.LINKS), filled(links, gold.SCHEMAS[gold.LINKS]), mode="append")
    known = links.filter(pc.field("source") == "salesforce")
    golden = pa.table({name: known.column(name) for name in ("tenant_id", "entity_id")} | {n: found.column(n) for n in found.column_names})
    write_deltalake(table_uri(gold.golden_table(PERSON)), filled(golden, gold.golden_schema(PERSON)), mode="append")
    assert PERSON.matching is not None
    known = pa.concat_tables([silver.slice(0, LEARN), silver.slice(found.num_rows, LEARN // 10)]).sort_by("record_ref")
    model, _ = engine.fit(engine.prepare(known, engine.make_plan(PERSON.matching)))
    row = {"tenant_id": "default", "entity": "person", "model_version": 1, "learned_at": NOW, "parameters": model.to_json(), "run_id": "b"}
    write_deltalake(table_uri(gold.MODELS), pa.Table.from_pylist([row], gold.SCHEMAS[gold.MODELS]), mode="append")


def change(found: pa.Table, count: int) -> None:
    """Give the first `count` people another phone and a longer surname, in Silver."""
    table = DeltaTable(table_uri("salesforce_person"))
    refs = [f"salesforce:contacts:{number:09}" for number in range(count)]
    rows = pa.table({"record_ref": refs, "phone": [f"{5_551_000_000 + number}" for number in range(count)],
                     "family_name": [f"{name}-Okonkwo" for name in found.column("family_name")[:count].to_pylist()]})  # fmt: skip
    merge = table.merge(rows, "t.record_ref = s.record_ref", source_alias="s", target_alias="t")
    merge.when_matched_update({"phone": "s.phone", "family_name": "s.family_name"}).execute()


def questions(found: pa.Table, after: int) -> dict[str, list[tuple[dict[str, Any], str | None]]]:
    """Values by kind of question, with the entity that they mean."""
    numbers = np.random.default_rng(2).integers(after, found.num_rows, QUESTIONS)
    rows = [
        (values, f"per_{number:09}") for values, number in zip(found.take(pa.array(numbers)).to_pylist(), numbers.tolist(), strict=True)
    ]
    half = QUESTIONS // 2
    short = [({name: row[name] for name in ("given_name", "family_name", "email")}, key) for row, key in rows[half : half + half // 2]]
    strangers = people(QUESTIONS - half - half // 2, seed=3).to_pylist()
    return {"all values": rows[:half], "name, e-mail": short, "not there": [(row, None) for row in strangers]}


def ask(title: str, lookup: Lookup, asked: dict[str, list[tuple[dict[str, Any], str | None]]]) -> float:
    """Puts all questions in mixed order and prints what they took by kind; the 95th percentile of all in milliseconds."""
    mixed = [(kind, values, key) for kind, pairs in asked.items() for values, key in pairs]
    Random(4).shuffle(mixed)
    answers = [(kind, lookup.find(values), key) for kind, values, key in mixed]
    head = ("asked", "found", "wrong", "sharing", "compared", "p50 ms", "p95 ms", "max ms")
    print(f"\n{title:<24}" + "".join(f"{word:>10}" for word in head))
    for kind in [*asked, "all"]:
        mine = [(answer, key) for own, answer, key in answers if kind in (own, "all")]
        accepted = [(answer.hits[0].entity_id, key) for answer, key in mine if answer.hits and answer.hits[0].decision == "accepted"]
        times = [answer.milliseconds for answer, _ in mine]
        p50, p95 = np.percentile(times, [50, 95])
        counts = [len(mine), len(accepted), sum(one != other for one, other in accepted)]
        means = [float(np.mean([getattr(answer, name) for answer, _ in mine])) for name in ("sharing", "compared")]
        print(f"{kind:<24}" + "".join(f"{n:>10}" for n in counts) + "".join(f"{n:>10.0f}" for n in means)
              + "".join(f"{n:>10.1f}" for n in (p50, p95, max(times))))  # fmt: skip
    return float(p95)


def sizes(database: Database) -> str:
    """Rows and bytes of what a lookup reads."""
    with database.reading_gold("default") as connection:
        query = "SELECT pg_size_pretty(pg_total_relation_size('gold.{0}')), (SELECT count(*) FROM gold.{0})"
        found = [
            (name, *connection.exec_driver_sql(query.format(name)).one()) for name in ("lookup_records", "lookup_keys", "lookup_models")
        ]
    return ", ".join(f"{name} {rows:,} rows {size}" for name, size, rows in found)


def timed(label: str, work: Any, *arguments: Any, **options: Any) -> Any:
    """The result of a piece of work, its seconds printed."""
    started = time.perf_counter()
    result = work(*arguments, **options)
    print(f"{label:<44}{time.perf_counter() - started:>8.1f} s", flush=True)
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entities", type=int, default=1_000_000)
    parser.add_argument("--changed", type=int, default=1_000)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="spine-lookup-"))
    home.chmod(0o755)
    try:
        os.environ["SPINE_LAKE"] = str(home / "lake")
        assert settings().lake == str(home / "lake")
        url = bootstrap(embedded.start(home / "home").uri_admin)
        found = timed(f"make {arguments.entities:,} people", people, arguments.entities)
        timed("write Silver and Gold, learn weights", write_lake, found)
        timed("publish all of it", publish, "person", "run-1", url=url)
        change(found, arguments.changed)
        result = timed(f"publish {arguments.changed:,} changed records", publish, "person", "run-2", url=url)
        print({name: counts for name, counts in result["tables"].items() if name.startswith("lookup")})
        database = Database(url)
        print(sizes(database))
        lookup = Lookup(database, "person")
        timed("read the weights (once per process)", lookup.load)
        asked = questions(found, arguments.changed)
        p95 = ask("straight after publishing", lookup, asked)
        ask("the same again", lookup, asked)
        return int(arguments.check and p95 >= LIMIT)
    finally:
        embedded.stop(home / "home")
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
