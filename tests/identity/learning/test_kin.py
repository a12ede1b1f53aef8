"""What relatives share is told from what matches share by the sources that records come from."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from spine.core.entities import Matching
from spine.identity import engine
from spine.identity.learning.kin import _shares
from spine.identity.matching import Matched, match

THRESHOLD = 0.85
STEMS = [
    f"{a}{b}"
    for a, b in product(("bal", "cor", "dun", "fer", "gol", "har", "kel", "mor", "nor", "pen"), ("den", "ford", "mont", "vick", "wood"))
]
BODIES = ("", " research institute", " head start", " music school")
VARIANTS = ("", " centre", " group", " of the town")
SOURCES = ("crm", "licences", "map")
KINDS = {"name": "organization", "phone": "phone", "street": "street", "city": "city"}


@dataclass(frozen=True)
class Records:
    """Rows of organisations, the source of each, and the organisation each is of."""

    rows: list[dict[str, Any]]
    truth: list[Any]

    def matched(self, source: str | None = "source") -> Matched:
        """What matching finds."""
        plan = engine.make_plan(Matching(attributes=KINDS))
        return match(engine.prepare(pa.Table.from_pylist(self.rows), plan, source), THRESHOLD)


def _house(number: int) -> dict[str, str]:
    return {
        "phone": f"+1 312 55{number % 10} {1000 + number}",
        "street": f"{10 + number} {STEMS[number * 7 % 50]} street",
        "city": STEMS[number % 7],
    }


def _name(number: int) -> str:
    return f"{STEMS[number % 50]} {STEMS[number * 3 % 47]}ers"


def bodies(houses: int = 400) -> Records:
    """Houses of four bodies, each body in two of three sources under its one name."""
    rows, truth = [], []
    for number, (place, body) in product(range(houses), enumerate(BODIES)):
        for source in np.random.default_rng(number * 4 + place).permutation(SOURCES)[:2].tolist():
            rows.append(_house(number) | {"name": _name(number) + body, "source": source})
            truth.append((number, body))
    return Records(rows, truth)


def variants(houses: int = 800) -> Records:
    """Houses of one organisation, which each source writes otherwise."""
    rows, truth = [], []
    for number in range(houses):
        chosen = np.random.default_rng(number).choice(VARIANTS, len(SOURCES))
        for source, variant in zip(SOURCES, chosen.tolist(), strict=True):
            rows.append(_house(number) | {"name": _name(number) + variant, "source": source})
            truth.append(number)
    return Records(rows, truth)


def wrong_and_missed(records: Records, found: Matched) -> tuple[float, float]:
    """The share of pairs of one house that are falsely one, and of true pairs that are not."""
    codes = {value: code for code, value in enumerate(dict.fromkeys(records.truth))}
    truth = np.asarray([codes[value] for value in records.truth])
    house = np.asarray([value[0] if isinstance(value, tuple) else value for value in records.truth])
    left, right = np.triu_indices(len(truth), 1)
    left, right = left[house[left] == house[right]], right[house[left] == house[right]]
    one, same = found.label[left] == found.label[right], truth[left] == truth[right]
    return float((one & ~same).sum() / max(1, (~same).sum())), float((same & ~one).sum() / same.sum())


def test_bodies_of_one_house_stand_side_by_side_in_each_source_and_stay_apart():
    records = bodies()
    wrong, missed = wrong_and_missed(records, records.matched())
    assert wrong <= 0.02
    assert missed <= 0.05


def test_names_that_each_source_writes_otherwise_are_one_organisation():
    records = variants()
    _, missed = wrong_and_missed(records, records.matched())
    assert missed <= 0.05


@pytest.mark.parametrize("told", ["one source", "no source", "sources by chance"])
def test_nothing_is_learned_where_sources_do_not_tell(told):
    records = bodies(200)
    rng = np.random.default_rng(1)
    rows = [row | {"source": "a" if told == "one source" else str(rng.integers(3))} for row in records.rows]
    found = Records(rows, records.truth).matched(None if told == "no source" else "source")
    assert found.model.h["name"][1] < 0.03  # as believed of strangers and few relatives


def test_a_level_speaks_of_relatives_only_as_far_as_its_pairs_lie_within_sources_clearly_more_often():
    count = np.asarray([1000.0, 1000.0, 1000.0, 90.0])
    shares = _shares(count, np.asarray([100.0, 330.0, 150.0, 30.0]), 0.33)
    assert shares[0] == 0.0
    assert 0.85 < shares[1] <= 1.0
    assert shares[2] == 0.0  # a source that errs more holds more records twice
    assert shares[3] == 0.0  # too few to tell


def test_sources_that_hold_many_records_twice_teach_nothing():
    assert not _shares(np.asarray([1000.0, 500.0]), np.asarray([300.0, 170.0]), 0.33).any()


def test_a_few_pairs_of_one_level_among_many_that_differ_are_no_relatives():
    """Two scripts make thousands of pairs of matches differ; a hundred of one source that differ a little less are how it writes."""
    count = np.asarray([10_000.0, 1_000.0, 150.0, 5_000.0])
    assert not _shares(count, count * np.asarray([0.2, 0.2, 0.48, 0.0]), 0.5).any()
    assert _shares(count, count * np.asarray([0.2, 0.2, 0.2, 0.48]), 0.5)[3] > 0.5
