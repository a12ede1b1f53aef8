"""What the demo shows at its end: rows per layer, quarantine, golden records with their sources and reasons, precision and recall."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg
import pyarrow as pa
from deltalake import DeltaTable
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from spine.core.names import DEFAULT_TENANT
from spine.lake.catalog import describe, table_names
from spine.lake.paths import storage_options, table_uri

_LAYERS = (("raw_", "Bronze"), ("quarantine_", "Quarantine"), ("gold_", "Gold"))


@dataclass(frozen=True)
class Score:
    """Pairwise quality of golden records against the known truth: shares between 0 and 1."""

    precision: float
    recall: float
    true_pairs: int


@dataclass
class Report:
    """Everything that is printed; `problems` says which layer does not hold what it should."""

    rows: list[tuple[str, str, int, int]]
    reasons: Counter[tuple[str, str]]
    entities: dict[str, tuple[int, int]]
    examples: dict[str, dict[str, Any]]
    scores: dict[str, Score] = field(default_factory=dict)
    united: tuple[int, int] = (0, 0)
    problems: list[str] = field(default_factory=list)


def collect(analyst_url: str, truth: dict[str, dict[str, str]], tenant: str = DEFAULT_TENANT) -> Report:
    """Read lake and PostgreSQL. `truth`: entity -> record reference -> true id."""
    with psycopg.connect(analyst_url) as connection:
        entities = {entity: _entity_counts(connection, entity) for entity in truth}
        examples = {entity: _example(connection, entity) for entity in ("organization", "person")}
        links = {entity: _links(connection, entity) for entity in truth}
        united = _united(connection)
    report = Report(_table_rows(tenant), _quarantine_reasons(tenant), entities, examples)
    report.scores = {entity: pairwise(links[entity], truth[entity]) for entity in truth}
    report.united = united
    report.problems = _problems(report)
    return report


def pairwise(links: dict[str, str], truth: dict[str, str]) -> Score:
    """Pairwise precision and recall of record -> entity against record -> true id, over the records that both know.

    Christen, Data Matching (2012), chapter 7; pairs are counted from group sizes, never listed.
    """
    both = links.keys() & truth.keys()
    found = _pairs(Counter(links[ref] for ref in both))
    real = _pairs(Counter(truth[ref] for ref in both))
    hit = _pairs(Counter((links[ref], truth[ref]) for ref in both))
    return Score(hit / found if found else 1.0, hit / real if real else 1.0, real)


def _pairs(sizes: Counter[Any]) -> int:
    return sum(size * (size - 1) // 2 for size in sizes.values())


def _table_rows(tenant: str) -> list[tuple[str, str, int, int]]:
    rows = []
    for name in table_names():
        layer = next((layer for prefix, layer in _LAYERS if name.startswith(prefix)), "Silver")
        facts = describe(name, lambda asked: asked == tenant)
        rows.append((layer, name, facts["tenants"].get(tenant, {"rows": 0})["rows"], facts["version"]))
    order = ["Bronze", "Quarantine", "Silver", "Gold"]
    return sorted(rows, key=lambda row: (order.index(row[0]), row[1]))


def _quarantine_reasons(tenant: str) -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    for name in table_names():
        if name.startswith("quarantine_"):
            table = DeltaTable(table_uri(name), storage_options=storage_options())
            columns = table.to_pyarrow_table(filters=[("tenant_id", "=", tenant)], columns=["reasons", "status"])
            for row in columns.filter(pa.compute.equal(columns["status"], "open")).to_pylist():
                found.update((name, reason["reason"]) for reason in row["reasons"])
    return found


def _entity_counts(connection: psycopg.Connection[Any], entity: str) -> tuple[int, int]:
    view, sources = psycopg.sql.Identifier("gold", entity), psycopg.sql.Identifier("gold", f"{entity}_sources")
    query = psycopg.sql.SQL("SELECT (SELECT count(*) FROM {}), (SELECT count(*) FROM {})").format(view, sources)
    row = connection.execute(query).fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)


def _united(connection: psycopg.Connection[Any]) -> tuple[int, int]:
    """Opportunities, and how many of them know the golden organization of their account."""
    row = connection.execute("SELECT count(*), count(account_organization_id) FROM gold.opportunity").fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)


def _links(connection: psycopg.Connection[Any], entity: str) -> dict[str, str]:
    view = psycopg.sql.Identifier("gold", f"{entity}_sources")
    return dict(connection.execute(psycopg.sql.SQL("SELECT record_ref, entity_id FROM {}").format(view)).fetchall())


def _example(connection: psycopg.Connection[Any], entity: str) -> dict[str, Any]:
    """The golden record with the most systems behind it, its sources, and why they were joined."""
    view, sources, matches = (psycopg.sql.Identifier("gold", f"{entity}{suffix}") for suffix in ("", "_sources", "_matches"))
    with connection.cursor(row_factory=psycopg.rows.dict_row) as cursor:
        best = psycopg.sql.SQL("SELECT * FROM {} WHERE record_count < 8 ORDER BY source_count DESC, record_count DESC, entity_id LIMIT 1")
        golden = cursor.execute(best.format(view)).fetchone()
        if golden is None:
            return {}
        mine = psycopg.sql.SQL("SELECT source, stream, record_id, confidence FROM {} WHERE entity_id = %s ORDER BY source, record_id")
        why = psycopg.sql.SQL(
            "SELECT left_ref, right_ref, why FROM {} WHERE entity_id = %s AND decision = 'accepted' ORDER BY probability DESC"
        )
        golden["sources"] = cursor.execute(mine.format(sources), [golden["entity_id"]]).fetchall()
        golden["why"] = cursor.execute(why.format(matches), [golden["entity_id"]]).fetchall()
    return dict(golden)


def _problems(report: Report) -> list[str]:
    layers: Counter[str] = Counter()
    for layer, _, rows, _ in report.rows:
        layers[layer] += rows
    found = [f"{layer} is empty" for layer in ("Bronze", "Silver", "Gold") if not layers[layer]]
    for entity, (golden, records) in report.entities.items():
        if not 0 < golden <= records:
            found.append(f"gold.{entity} holds {golden} golden records of {records} source records")
    found += [f"there is no golden {entity}" for entity, example in report.examples.items() if not example]
    opportunities, linked = report.united
    if not 0 < linked <= opportunities:
        found.append(f"{linked} of {opportunities} opportunities have a golden organization")
    return found


def show(report: Report, console: Console) -> None:
    """Print the report."""
    console.print()
    _show_layers(report, console)
    _show_reasons(report, console)
    for entity, example in report.examples.items():
        if example:
            _show_example(entity, example, console)
    for entity, score in sorted(report.scores.items()):
        golden, records = report.entities[entity]
        console.print(
            f"[bold]{entity}[/]: {records:,} source records are {golden:,} golden records; against the sandbox's truth: "
            f"precision {score.precision:.3f}, recall {score.recall:.3f} ({score.true_pairs:,} true pairs)"
        )
    console.print("[bold]opportunity[/]: {:,} of all sources; {:,} know the golden organization of their account".format(*report.united))


def _show_layers(report: Report, console: Console) -> None:
    table = Table("Layer", "Table", title="Rows per layer", title_justify="left", box=None, pad_edge=False)
    table.add_column("Rows", justify="right")
    table.add_column("Version", justify="right")
    for layer, name, rows, version in report.rows:
        table.add_row(layer, name, f"{rows:,}", str(version))
    console.print(table)


def _show_reasons(report: Report, console: Console) -> None:
    table = Table("Quarantined in", "Why", title="\nRows in quarantine", title_justify="left", box=None, pad_edge=False)
    table.add_column("Rows", justify="right")
    for (name, reason), count in sorted(report.reasons.items()):
        table.add_row(name, escape(reason), str(count))
    console.print(table)


def _show_example(entity: str, example: dict[str, Any], console: Console) -> None:
    hidden = {"sources", "why", "provenance", "schema_version", "run_id", "tenant_id"}
    console.print(f"\n[bold]One golden {entity}[/]")
    for name, value in example.items():
        if name not in hidden and value is not None:
            text = f"{value:.3f}" if isinstance(value, float) else f"{value:%Y-%m-%d %H:%M}" if isinstance(value, datetime) else str(value)
            console.print(f"  {name:<18} {escape(text)}")
    console.print("  [dim]joined from[/]")
    for source in example["sources"]:
        ref = escape(f"{source['source']}:{source['stream']}:{source['record_id']}")
        console.print(f"    {ref}  (confidence {source['confidence']:.3f})")
    console.print("  [dim]because[/]")
    for match in example["why"][:6]:
        console.print(f"    {escape(match['left_ref'])} = {escape(match['right_ref'])}\n      {escape(match['why'])}")
    console.print()
