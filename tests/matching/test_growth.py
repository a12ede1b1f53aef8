"""Records that arrive batch by batch end where a full load ends: weights are learned anew as the data grows, counts of values at once.

Worlds of `benchmarks/worlds` that judge: counting was developed on `vendors` and `switchboards`.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv
import pytest

from benchmarks.worlds import making, shares
from spine.matching.files import read_columns
from spine.matching.request import MatchRequest
from spine.matching.run import match_records

Rows = list[dict[str, Any]]
RECORDS = 3_000  # of fewer a single entity is more than 0.001 of F1


@dataclass
class Arrivals:
    """Records of a world that come to one file, batch by batch, and the clusters after each."""

    folder: Path
    rows: Rows
    truth: dict[str, str]

    @classmethod
    def of(cls, world: str, records: int, folder: Path) -> Arrivals:
        declared = shares.load(world)
        making.write(making.generate(declared, records, None), declared, folder, "csv")
        truth = pacsv.read_csv(folder / "truth.csv")
        told = dict(zip(truth.column(0).to_pylist(), map(str, truth.column(1).to_pylist()), strict=True))
        names = (folder / "records.csv").read_text(encoding="utf-8").partition("\n")[0].split(",")
        return cls(folder, read_columns(folder / "records.csv", names).to_pylist(), told)

    def match(self, rows: Rows, relearn: Any = "auto", *, anew: bool = False) -> dict[str, Any]:
        schema = pa.schema([(name, pa.string()) for name in self.rows[0]])
        pacsv.write_csv(pa.Table.from_pylist(rows, schema), self.folder / "now.csv")
        clusters = self.folder / "clusters.csv"
        previous = clusters if clusters.exists() and not anew else None
        return match_records(
            MatchRequest(self.folder / "now.csv", self.folder / "rules.yaml", clusters, previous=previous, relearn=relearn)
        )

    def clusters(self) -> dict[str, str]:
        table = read_columns(self.folder / "clusters.csv", ["record_id", "cluster_id"])
        return dict(zip(table.column("record_id").to_pylist(), table.column("cluster_id").to_pylist(), strict=True))

    def groups(self) -> set[frozenset[str]]:
        found: dict[str, set[str]] = {}
        for record, cluster in self.clusters().items():
            found.setdefault(cluster, set()).add(record)
        return {frozenset(group) for group in found.values()}

    def figures(self) -> tuple[float, float]:
        """Precision and F1 over pairs."""
        clusters = self.clusters()
        truth = [self.truth[name] for name in clusters]
        keys: list[list[Any]] = [list(zip(clusters.values(), truth, strict=True)), list(clusters.values()), truth]
        pairs = [sum(count * (count - 1) // 2 for count in Counter(some).values()) for some in keys]
        return pairs[0] / max(1, pairs[1]), 2 * pairs[0] / max(1, pairs[1] + pairs[2])

    def batches(self, how: str, seed: int) -> list[Rows]:
        rows = random.Random(seed).sample(self.rows, len(self.rows))
        if how == "source by source":
            names = random.Random(seed).sample(sorted({row["source"] for row in rows}), len({row["source"] for row in rows}))
            return [[row for row in rows if row["source"] == name] for name in names]
        # Just below one and a half times what weights were learned from is where they are stalest.
        cuts = list(range(len(rows) * 2 // 3 + 10, len(rows), 400))
        if how == "mixed":
            cuts = sorted(random.Random(seed).sample(range(20, len(rows)), 4))
        return [rows[one:other] for one, other in itertools.pairwise([0, *cuts, len(rows)])]


@pytest.mark.slow
@pytest.mark.parametrize("how", ["mixed", "source by source", "stale"])
@pytest.mark.parametrize("world", ["families", "registers"])
def test_batches_of_any_size_and_order_end_where_a_full_load_ends(tmp_path: Path, world: str, how: str) -> None:
    arrivals = Arrivals.of(world, RECORDS, tmp_path)
    arrivals.match(arrivals.rows)
    whole, (precision, f1) = arrivals.groups(), arrivals.figures()
    have: Rows = []
    for number, batch in enumerate(arrivals.batches(how, seed=len(world))):
        have += batch
        result = arrivals.match(have, anew=number == 0)
    now = arrivals.figures()
    assert now[1] >= f1 - 0.01
    assert now[0] >= min(0.9, precision) - 0.01
    ids = arrivals.clusters()
    result = arrivals.match(have, "always")
    assert arrivals.groups() == whole
    assert result["merged"] + result["split"] < 0.1 * len(set(ids.values()))  # ids live on
    assert sum(ids[name] == cluster for name, cluster in arrivals.clusters().items()) > 0.9 * len(ids)


def test_a_model_of_few_records_makes_no_more_pairs_of_many_than_one_of_all(tmp_path: Path) -> None:
    arrivals = Arrivals.of("switchboards", 6_000, tmp_path)
    full = arrivals.match(arrivals.rows)["pairs"]
    arrivals.match(arrivals.rows[:250], anew=True)
    told = arrivals.match(arrivals.rows)
    assert "records, 250 when the weights were learned" in told["relearned"]
    assert told["pairs"] == full
    arrivals.match(arrivals.rows[:250], anew=True)
    pinned = arrivals.match(arrivals.rows, "never")
    assert pinned["pairs"] <= 1.05 * full
    assert "Learn, compare and cluster" in pinned["stages"]
    arrivals.rows[0] = arrivals.rows[0] | {"forename": "Somebodyelse"}
    assert "Compare what changed" in arrivals.match(arrivals.rows, "never")["stages"]  # and is counted once


GIVEN = "Anna Bruno Chiara Dmitri Elena Farid Greta Hugo Ines Jonas Katia Lars Mona Nils Olga Pavel Quentin Rosa Sven Tara Uwe Vera"
FAMILY = (
    "Abelson Brandtner Costantini Dubosq Ekmanis Ferrarino Grubermann Haasbroek Iversund Jansonius Kellerhoff "
    "Lundqvist Moreaud Novakova Olsenius Petrovic Quistgaard Rossellini Satoyama Thomasius Ullmann Vogelsang"
)


def _staff(arrivals: Arrivals, shared: dict[str, Any]) -> Rows:
    given, family = GIVEN.split(" "), FAMILY.split(" ")
    empty = dict.fromkeys(arrivals.rows[0])
    rows = []
    for number in range(len(given)):
        row = empty | {"unique_id": f"z{number:02}", "source": arrivals.rows[number]["source"], "forename": given[number]}
        row |= {"surname": family[number], "email": f"{given[number][0]}.{family[number]}@zyxcorp-new.com".lower()} | shared
        rows.append({name: row[name] for name in empty})
    return rows


ALL = {"phone": "+44 1632 960111", "employer": "Zyxcorp Holdings", "city": "Newtonville", "postcode": "QX9 4ZZ"}


@pytest.mark.parametrize(
    "shared",
    [
        pytest.param({"employer": "Zyxcorp Holdings"}, id="company and its domain"),
        pytest.param({"phone": "+44 1632 960111", "email": None}, id="switchboard"),
        pytest.param({"city": "Newtonville", "postcode": "QX9 4ZZ", "email": None}, id="address"),
        pytest.param({"surname": "Zyxwell", "email": None, "city": "Leeds"}, id="surname"),
        pytest.param(ALL, id="all of it"),
    ],
)
def test_colleagues_whose_company_the_weights_never_saw_stay_as_many_persons(tmp_path: Path, shared: dict[str, Any]) -> None:
    arrivals = Arrivals.of("company_domains", 1_500, tmp_path)
    arrivals.match(arrivals.rows)
    staff = _staff(arrivals, shared)
    assert "relearned" not in arrivals.match([*arrivals.rows, *staff])
    clusters = arrivals.clusters()
    assert len({clusters[row["unique_id"]] for row in staff}) == len(staff)
