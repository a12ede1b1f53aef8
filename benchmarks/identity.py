"""Precision and recall of identity resolution, without a label and with default settings, on real labelled records and on generated worlds.

`python benchmarks/identity.py [--data FOLDER] [--scale N] [--check]` prints pairwise precision, recall, F1, the recall that blocking
reaches, and seconds; with `--check` the exit code says whether precision stays above 0.90.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv

from spine.core.entities import Entity, Matching, load_entity
from spine.identity import engine
from spine.identity.resolution import Before, Run, resolve_tenant
from spine.sandbox.tables import record_id
from spine.sandbox.world import World, true_id

DATA: dict[str, tuple[str, dict[str, Any]]] = {
    "historical_50k": ("person", {
        "first_name": "forename", "surname": "surname", "full_name": "full_name", "dob": "date", "birth_place": "city",
        "postcode_fake": "postcode", "gender": "category", "occupation": "category",
    }),
    "chicago_early_childhood": ("organization", {
        "name": "organization", "address": "street", "zip": "postcode", "phone": "phone", "website": "url",
    }),
    "fodors_zagats": ("restaurant", {"name": "organization", "addr": "street", "city": "city", "phone": "phone", "type": "category"}),
}  # fmt: skip
ACROSS = {"fodors_zagats"}


@dataclass(frozen=True)
class Case:
    """Records to resolve, the entity that says how, and the truth as one number per record (never shown to the matcher)."""

    name: str
    entity: Entity
    records: pa.Table
    truth: np.ndarray


def from_csv(folder: Path, name: str) -> Case:
    kind, attributes = DATA[name]
    texts = dict.fromkeys([*attributes, "unique_id", "cluster", "source"], pa.string())
    table = csv.read_csv(folder / f"{name}.csv", convert_options=csv.ConvertOptions(column_types=texts, strings_can_be_null=True))
    entity = Entity.model_validate({
        "entity": kind, "label": kind, "domain": "party", "description": name, "version": 1,
        "fields": {field: {"description": field} for field in attributes},
        "matching": Matching(attributes=attributes, link="across_sources" if name in ACROSS else "within_and_across"),
    })  # fmt: skip
    truth = np.unique(np.asarray(table.column("cluster").to_pylist(), dtype=object), return_inverse=True)[1]
    return Case(
        name,
        entity,
        _with_keys(table.select(list(attributes)), table.column("source").to_pylist(), table.column("unique_id").to_pylist()),
        truth,
    )


def _with_keys(table: pa.Table, sources: list[str], ids: list[str]) -> pa.Table:
    keys = {
        "tenant_id": ["default"] * len(ids), "record_ref": [f"{source}:records:{key}" for source, key in zip(sources, ids, strict=True)],
        "source": sources, "stream": ["records"] * len(ids), "record_id": ids, "connection_id": sources, "source_cursor": [None] * len(ids),
    }  # fmt: skip
    for name, values in keys.items():
        table = table.append_column(name, pa.array(values, pa.string()))
    return table.append_column("emitted_at", pa.array([datetime(2026, 1, 1, tzinfo=UTC)] * len(ids), pa.timestamp("us", "UTC")))


def from_world(kind: str, scale: int) -> Case:
    """A generated world: families, namesakes, switchboards, job changes; `scale` is the number of real customers."""
    world = World("default", 7, scale, datetime(2026, 1, 31, tzinfo=UTC))
    rows, ids, sources, truth = [], [], [], []
    for stream, table in world.tables.items():
        if stream.entity != kind:
            continue
        for slot, number in enumerate(table.subject.tolist()):
            row = world.person(table, slot) if kind == "person" else world.company(table, slot)
            rows.append(_person(row, stream.source) if kind == "person" else _company(row))
            ids.append(f"{stream.name}-{record_id(stream, slot)}")
            sources.append(stream.source)
            truth.append(table.truth.get(slot) or true_id(kind, number))
    fields = {name: [row.get(name) or None for row in rows] for name in rows[0]}
    table = _with_keys(pa.table({name: pa.array(values, pa.string()) for name, values in fields.items()}), sources, ids)
    codes = np.unique(np.asarray(truth, dtype=object), return_inverse=True)[1]
    return Case(f"world {kind} {scale}", load_entity(kind), table, codes)


def _person(row: Any, source: str) -> dict[str, str]:
    born = row.born if source == "people_files" else ""
    return {
        "given_name": row.given, "family_name": row.family, "email": row.email, "phone": row.phone, "birth_date": born,
        "street": row.street, "city": row.city, "postcode": row.postcode, "employer": row.employer,
    }  # fmt: skip


def _company(row: Any) -> dict[str, str]:
    return {"name": row.name, "website": row.domain, "phone": row.phone, "street": row.street, "city": row.city, "postcode": row.postcode}


def measure(case: Case) -> dict[str, float]:
    """Pairwise precision, recall, F1 of the clusters, blocking recall, seconds."""
    started = time.perf_counter()
    outcome = resolve_tenant("default", case.entity, case.records, Before(), None, Run(1, "benchmark", datetime(2026, 1, 31, tzinfo=UTC)))
    seconds = time.perf_counter() - started
    ids = {link["record_ref"]: link["entity_id"] for link in outcome.links}
    labels = np.unique([ids[ref] for ref in case.records.column("record_ref").to_pylist()], return_inverse=True)[1]
    _, both = np.unique(np.stack([labels, case.truth]), axis=1, return_counts=True)
    right, found, true = _pairs(both), _pairs(np.bincount(labels)), _pairs(np.bincount(case.truth))
    records = engine.prepare(case.records, engine.make_plan(case.entity.matching), "source")
    _, blocked = engine.fit(records)
    reached = float((case.truth[blocked.left] == case.truth[blocked.right]).sum())
    return {
        "records": len(labels), "pairs": len(blocked.left), "precision": right / max(1, found), "recall": right / max(1, true),
        "f1": 2 * right / max(1, found + true), "blocking_recall": reached / max(1, true), "largest": int(np.bincount(labels).max()),
        "conflicts": outcome.counts["conflicts"], "seconds": seconds,
    }  # fmt: skip


def _pairs(sizes: np.ndarray) -> float:
    return float((sizes * (sizes - 1) // 2).sum())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--scale", type=int, default=2000)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    cases = [from_csv(arguments.data, name) for name in DATA if (arguments.data / f"{name}.csv").is_file()]
    cases += [from_world(kind, arguments.scale) for kind in ("person", "organization")]
    worst = 1.0
    for case in cases:
        figures = measure(case)
        worst = min(worst, figures["precision"])
        print(f"{case.name:28}", "  ".join(f"{name} {value:.4g}" for name, value in figures.items()), flush=True)
    return 1 if arguments.check and worst < 0.9 else 0


if __name__ == "__main__":
    sys.exit(main())
