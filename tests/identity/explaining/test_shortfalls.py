"""What a run could not do: told by name, and what too common keys cost estimated near enough to what all pairs together say."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pyarrow as pa
import pytest

from spine.core.entities import Matching
from spine.identity import engine
from spine.identity.explaining import shortfalls as lacks
from spine.identity.explaining.dropped import dropped
from spine.identity.explaining.reach import out_of_reach
from spine.identity.learning.score import score
from spine.identity.matching import Matched, match, threshold_weight
from spine.identity.planning import make_plan

PERSON = {"given": "forename", "last": "surname", "mail": "email", "phone": "phone", "born": "date"}


def matched(rows: list[tuple[str | None, ...]], source: list[str] | None = None, **stated: object) -> Matched:
    table = pa.table({name: pa.array(values, pa.string()) for name, values in zip(PERSON, zip(*rows, strict=True), strict=True)})
    if source is not None:
        table = table.append_column("source", pa.array(source))
    plan = make_plan(Matching(attributes=PERSON, **stated))
    return match(engine.prepare(table, plan, "source" if source else None), 0.85)


def people(count: int, *, phone: bool = True) -> list[tuple[str | None, ...]]:
    """Everybody twice."""
    random = np.random.default_rng(3)
    letters = np.array(list("bcdfglmnprst"))
    rows: list[tuple[str | None, ...]] = []
    for at in range(count):
        given, last = ("".join(random.choice(letters, 3)) + "a" + "".join(random.choice(letters, 2)) for _ in range(2))
        row = (given, last, f"m{at}@acme.org", f"+1 555 {at + 2345678}" if phone else None, f"19{at % 70 + 20}-02-{at % 28 + 1:02}")
        rows += [row, (row[0], row[1] + "o", *row[2:])]
    return rows


def test_an_attribute_that_only_one_source_has() -> None:
    rows = people(100)
    rows[1::2] = [(*row[:3], None, row[4]) for row in rows[1::2]]
    found = lacks.shortfalls(matched(rows, ["crm", "erp"] * 100, link="across_sources"), 0.85, ["crm", "erp"])
    assert dict(found.seldom) == {"phone": "only crm has values"}


@pytest.mark.parametrize(
    ("filled", "why"), [(0, "no record has a value"), (1, "only one record has a value"), (3, "only 3 of 400 records have a value")]
)
def test_an_attribute_that_hardly_a_record_has(filled: int, why: str) -> None:
    rows = [(*row[:3], row[3] if at < 2 * filled and at % 2 == 0 else None, row[4]) for at, row in enumerate(people(200))]
    found = lacks.shortfalls(matched(rows), 0.85)
    assert found.seldom == {"phone": why}
    assert f"phone was hardly ever comparable: {why}" in lacks.in_words(found)


def test_the_rarity_of_a_match_is_near_the_truth() -> None:
    found = lacks.shortfalls(matched(people(300)), 0.85).rarity
    assert found.together == 300
    assert found.expected == pytest.approx(300, rel=0.2)
    assert found.one_in == pytest.approx(600 * 599 / 2 / 300, rel=0.2)


@pytest.mark.parametrize(("expected", "told"), [(120.0, False), (290.0, False), (310.0, True)])
def test_far_more_matches_expected_than_found_are_told(expected: float, told: bool) -> None:
    found = lacks.Shortfalls(lacks.Rarity(1000, expected, 100), {}, [], {})
    assert ("neither can be trusted" in lacks.in_words(found)[-1]) is told


def test_records_that_can_match_nothing() -> None:
    names = [(given, last) for given in ("ann", "bo", "cy") for last in ("lee", "kim")]
    full = [(*names[at // 2 % 6], *row[2:]) for at, row in enumerate(people(120))]
    found = lacks.shortfalls(matched([*full, *[(*names[at % 6], None, None, None) for at in range(80)]]), 0.85)
    assert found.mute is not None
    assert (found.mute.share, found.mute.having) == (80 / 320, ("person name",))
    assert "25 % of the records can match no other, whatever they agree on: most of these have person name alone" in lacks.in_words(found)


def test_namesakes_alone_reach_nothing() -> None:
    given, last = ([f"{letter}{end}" for letter in "bcdfglmnpr"] for end in ("anna", "owski"))
    rows: list[tuple[str | None, ...]] = [(one, other, None, None, None) for one in given for other in last for _ in range(5)]
    found = matched(rows)
    limit = threshold_weight(0.85)
    lacking = out_of_reach(found.records, found.model, limit)
    assert lacking is not None
    assert lacking.best < 0.85
    assert lacking.describe(0.85).startswith("no two of the 500 records can be one: even with the same person name two are one with")
    assert out_of_reach(matched(people(20)).records, matched(people(20)).model, limit) is None


def test_a_mailbox_that_follows_from_the_name_is_named() -> None:
    found = matched(people(50))
    found.model.follows = {"mail": {"person name": [[0.0]]}}
    assert "mail partly follows from person name: what both say counts once" in lacks.in_words(lacks.of_model(found.model))


class TestDropped:
    """Two matches of three share but the birth date, of which there are so few that the key has too many records."""

    @pytest.fixture(scope="class")
    def found(self) -> Matched:
        rows = [(*row[:4], f"1980-01-{at // 2 % 2 + 1:02}") for at, row in enumerate(people(150))]
        rows[1::2] = [(row[0], row[1], None, row[3], row[4]) if at % 3 == 0 else (row[0], row[1], None, None, row[4])
                      for at, row in enumerate(rows[1::2])]  # fmt: skip
        return matched(rows, blocking=[["born"], ["phone"]], budget=4)

    def test_the_cost_is_that_of_all_pairs_together(self, found: Matched) -> None:
        limit = threshold_weight(0.85)
        cost = dropped(found, limit)
        assert cost is not None
        left, right = (np.asarray(side) for side in zip(*combinations(range(found.records.rows), 2), strict=True))
        same_day = found.records.features["born"][0][left] == found.records.features["born"][0][right]
        left, right = left[same_day], right[same_day]
        patterns = engine.patterns(found.records, left, right, found.model.rarity)
        strong = score(found.records.plan, found.model, found.records.features, left, right, patterns).weight >= limit
        missed = int((strong & (found.label[left] != found.label[right])).sum())
        together = int((strong & (found.label[left] == found.label[right])).sum())
        assert (cost.keys, cost.pairs) == (2, len(left))
        assert missed > 50, "or the case shows nothing"
        assert abs(cost.lost - missed) < 3 * cost.spread
        assert cost.recall == pytest.approx(missed / (missed + together), abs=0.1)
        assert cost.recall < cost.most < cost.recall + 0.2

    def test_in_words(self, found: Matched) -> None:
        text = "\n".join(lacks.in_words(lacks.shortfalls(found, 0.85)))
        assert "2 values were too common to find pairs by (22,000 pairs" in text
        assert "of all (at most" in text

    def test_without_such_keys_there_is_no_cost(self) -> None:
        assert dropped(matched(people(30)), threshold_weight(0.85)) is None

    def test_where_nothing_was_missed_a_bound_is_told(self) -> None:
        rows = [(*row[:4], "1980-01-01") for row in people(150)]
        cost = dropped(matched(rows, blocking=[["born"], ["phone"]], budget=4), threshold_weight(0.85))
        assert cost is not None
        assert (cost.lost, cost.recall) == (0, 0)
        assert 0 < cost.most < 0.05


def test_a_share_keeps_two_digits_and_is_never_nothing() -> None:
    assert [lacks.share(part) for part in (0, 0.00001, 0.0042, 0.05, 0.126, 1)] == ["0 %", "0.01 %", "0.4 %", "5 %", "13 %", "100 %"]
