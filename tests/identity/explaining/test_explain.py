"""The plan told before a run: the pairs of every rule without making one, what the budget takes away, and which values are to blame."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from spine.core.entities import Matching
from spine.identity import engine
from spine.identity.blocking import rules as blocking
from spine.identity.blocking.blocks import blocks_of
from spine.identity.blocking.keys import Keys
from spine.identity.explaining import explain
from spine.identity.planning import make_plan

PERSON = {"given": "forename", "last": "surname", "born": "date", "town": "city"}


def _records(rows: list[tuple[str | None, ...]], source: list[str] | None = None, **stated: Any) -> engine.Records:
    table = pa.table({name: pa.array(values, pa.string()) for name, values in zip(PERSON, zip(*rows, strict=True), strict=True)})
    if source is None:
        return engine.prepare(table, make_plan(Matching(attributes=PERSON, **stated)))
    plan = make_plan(Matching(attributes=PERSON, link="across_sources", **stated))
    return engine.prepare(table.append_column("source", pa.array(source)), plan, "source")


_row = st.tuples(*(st.sampled_from([None, *values]) for values in (["Ann", "Bo"], ["Lee", "Kim"], ["1980-01-02", "1981-03-04"], ["York"])))


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(_row, min_size=2, max_size=14), sources=st.booleans())
def test_the_pairs_of_a_rule_are_counted_as_they_would_be_made(rows, sources):
    source = ["ab"[number % 2] for number in range(len(rows))]
    records = _records(rows, source if sources else None)
    keys = Keys(records.features, {})
    for rule in blocking.make_rules(records.plan):
        matrix = keys.plain(rule)
        blocks = [set(row) - {0} for row in matrix.tolist()]
        pairs = sum(
            len(blocks[one] & blocks[other])
            for one, other in combinations(range(len(rows)), 2)
            if not sources or source[one] != source[other]
        )
        assert explain.pairs_of(blocks_of(matrix), records.source if sources else None) == pairs


def _crowd(number: int) -> list[tuple[str | None, ...]]:
    """People of one birth date, so that a key of it alone has too many records."""
    letters = "abcdefghijklmnopqrst"
    return [(f"{letters[at % 20]}{letters[at // 20]}ex", f"{letters[at % 17]}ov", "1980-01-02", "York") for at in range(number)]


def test_a_budget_shows_what_it_takes_away_and_which_value_is_to_blame():
    report = explain.explain(_records(_crowd(60), blocking=[["born"], ["last", "town"]], budget=2))
    born, last = report.rules
    assert (born.wanted, born.kept, born.split, born.dropped) == (60 * 59 // 2, 0, 1, 1)
    assert born.worst == ("born: 19800102 (60 records)",)
    assert last.kept == last.wanted > 0
    assert report.kept == last.kept


def test_a_key_of_too_many_records_is_split_by_a_second_one():
    rules = [{"key": ["born"], "split": "last", "budget": 4}]
    (rule,) = explain.explain(_records(_crowd(60), blocking=rules)).rules
    assert rule.split == 1
    assert rule.dropped == 0
    assert 0 < rule.kept < rule.wanted


def test_the_text_is_readable_in_a_terminal():
    text = explain.plan_text(_records(_crowd(60), blocking=["chosen", ["born"]], comparisons={"last": ["exact", "edits <= 1"]}, budget=2))
    assert max(len(line) for line in text.splitlines()) <= explain.WIDTH
    assert text.startswith("60 records, 1,770 possible pairs; link within_and_across, threshold 0.85\n")
    for part in (
        "Features",
        "Comparisons",
        "Blocking rules",
        "Values with too many records",
        "exact | edits <= 1 | different",
        "one value only",
    ):
        assert part in text


def test_an_empty_attribute_and_a_lone_record_are_told():
    text = explain.plan_text(_records([("Ann", "Lee", None, None)]))
    assert "always empty: says nothing" in text
    assert "1 records, 0 possible pairs" in text


def test_what_follows_from_what_is_named_from_pairs_that_are_learned_from() -> None:
    """Everybody twice, of few names; each mailbox is the name."""
    random = np.random.default_rng(4)
    given, last = (["".join(random.choice(list("bcdfghklmnprstvw"), 3)) + end for _ in range(60)] for end in ("a", "o"))
    rows = []
    for at in range(2000):
        one, other = str(random.choice(given)), str(random.choice(last))
        born, phone = f"19{random.integers(20, 99)}-0{random.integers(1, 10)}-{random.integers(10, 29)}", f"+1 503 {2345678 + 13 * at}"
        rows += [{"given": one, "last": other, "born": born, "phone": phone, "mail": f"{one}.{other}@host{at % 700}.org"}] * 2
    kinds = {"given": "forename", "last": "surname", "born": "date", "phone": "phone", "mail": "email"}
    text = explain.plan_text(engine.prepare(pa.Table.from_pylist(rows), make_plan(Matching(attributes=kinds))))
    assert "Dependence: what an attribute says that others have said already counts once" in text
    assert "  mail  partly follows from person name" in text


def test_independent_attributes_follow_from_nothing() -> None:
    assert "none was found" in explain.plan_text(_records(_crowd(60)))
