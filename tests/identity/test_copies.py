"""Records with the same values are computed once: what they cost, whom they follow, and what parts them."""

from __future__ import annotations

import random
import time
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spine.core.entities import Matching
from spine.identity import engine
from spine.identity.copies import Copies
from spine.identity.matching import Constraints, Matched, divide, kept, match

KINDS: dict[str, Any] = {"given": "forename", "family": "surname", "born": "date", "mail": "email", "town": "city", "firm": "organization"}
PLAN = engine.make_plan(Matching(attributes=KINDS))
GIVEN = ["Anna", "Bruno", "Carla", "Dmitri", "Elena", "Farid", "Greta", "Hugo"]
FAMILY = ["Abel", "Brandt", "Costa", "Dubois", "Ekman", "Ferrari", "Gruber", "Haas"]
Row = dict[str, str | None]


def full(number: int, slip: bool = False) -> Row:
    """Someone of whom much is known; a `slip` in the record leaves a letter out and two values away."""
    given, family = GIVEN[number % 8], FAMILY[number // 8 % 8]
    return {
        "given": given[:-1] if slip else given, "family": family, "born": f"19{40 + number}-0{1 + number % 9}-1{number % 9}",
        "mail": f"{given}.{family}{number}@mail{number % 7}.org".lower(), "town": None if slip else ["Oslo", "Lyon", "Turin"][number % 3],
        "firm": None if slip else f"{family} {GIVEN[number * 5 % 8]} Ltd",
    }  # fmt: skip


def bare(number: int) -> Row:
    """Someone of whom nothing but a common name is known."""
    return dict.fromkeys(KINDS, None) | {"given": GIVEN[number % 2], "family": FAMILY[number % 3]}


FILE = [full(number) for number in range(50)] + [full(number, True) for number in range(0, 50, 2)]


def records(rows: list[Row], source: list[str] | None = None, plan: Any = PLAN) -> engine.Records:
    table = pa.table({name: pa.array([row[name] for row in rows], pa.string()) for name in KINDS})
    return engine.prepare(table if source is None else table.append_column("s", pa.array(source)), plan, None if source is None else "s")


def groups(label: np.ndarray, names: list[Any]) -> set[frozenset[Any]]:
    found: dict[int, set[Any]] = {}
    for name, number in zip(names, label.tolist(), strict=True):
        found.setdefault(number, set()).add(name)
    return {frozenset(group) for group in found.values()}


def alone(found: Matched, given: Constraints | None = None) -> Matched:
    """The same records under the same model, compared one by one."""
    nothing = Copies(np.arange(found.records.rows))
    pairs = engine.candidates(found.records, found.model)
    return divide(
        found.records, found.model, *kept(found.records, found.model, pairs), 0.85, given or Constraints(), len(pairs.left), nothing
    )


@settings(max_examples=15, deadline=None)
@given(times=st.lists(st.integers(1, 5), min_size=len(FILE), max_size=len(FILE)), seed=st.integers(0, 9))
def test_how_often_rows_stand_in_a_file_changes_nothing_about_who_is_together(times: list[int], seed: int) -> None:
    once = groups(match(records(FILE), 0.85).label, list(range(len(FILE))))
    names = [number for number, count in enumerate(times) for _ in range(count)]
    random.Random(seed).shuffle(names)

    found = match(records([FILE[number] for number in names]), 0.85)

    assert groups(found.label, names) == once
    assert any(len(group) > 1 for group in once)
    assert (found.label <= np.arange(len(names))).all()


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_order_of_rows_does_not_matter(seed: int) -> None:
    rows = [*FILE * 2, *(bare(number % 4) for number in range(20))]
    names = list(range(len(rows)))
    straight = match(records(rows), 0.85)
    random.Random(seed).shuffle(names)

    mixed = match(records([rows[name] for name in names]), 0.85)

    def told(found: Matched, names: list[int]) -> list[Any]:
        """Each row's values by entity; which of several namesakes is which, nobody can tell."""
        every = [tuple(rows[name].values()) for name in names]
        confidence = dict(zip(every, np.round(found.confidence, 9).tolist(), strict=True))
        sizes = sorted(tuple(sorted(map(str, (every[row] for row in np.flatnonzero(found.label == label))))) for label in set(found.label))
        return [sizes, sorted(confidence.items(), key=str)]

    assert told(mixed, names) == told(straight, list(range(len(rows))))
    assert mixed.model.m == straight.model.m
    assert mixed.model.terms == straight.model.terms


def test_twice_and_a_thousand_times_are_the_same_to_the_weights() -> None:
    twice, often = match(records(FILE * 2), 0.85), match(records(FILE * 40), 0.85)
    assert (twice.model.m, twice.model.u, twice.model.prior) == (often.model.m, often.model.u, often.model.prior)
    assert twice.model.terms == often.model.terms
    assert twice.compared == often.compared


def test_namesakes_of_whom_nothing_else_is_known_stay_apart() -> None:
    rows = [*FILE * 3, *(bare(number % 6) for number in range(60))]
    found = match(records(rows), 0.85)
    namesakes = found.label[len(FILE) * 3 :]
    assert len(set(namesakes.tolist())) == 60
    np.testing.assert_array_equal(found.label, alone(found).label)


def test_namesakes_count_one_by_one_where_rarity_is_told() -> None:
    """Thirty records of one bare name may be thirty people, so the name is common. A full record that came thirty times is one."""
    names = match(records([*FILE, *([bare(0)] * 30)]), 0.85).model.terms["surname"]["1"].counts
    copies = match(records([*FILE, *([full(0)] * 30)]), 0.85).model.terms["surname"]["1"].counts
    assert names["abel"] - copies["abel"] == 30


@settings(max_examples=12, deadline=None)
@given(numbers=st.lists(st.integers(0, 49), min_size=1, max_size=60), namesakes=st.integers(0, 12), slips=st.booleans())
def test_whoever_is_together_is_so_when_every_record_is_compared(numbers: list[int], namesakes: int, slips: bool) -> None:
    rows = [*FILE, *(full(number) for number in numbers), *(bare(number) for number in range(namesakes))]
    rows += [full(number, True) for number in numbers if slips]
    found = match(records(rows), 0.85)
    np.testing.assert_array_equal(found.label, alone(found).label)


def test_copies_of_one_source_are_two_entities_where_sources_hold_no_duplicates() -> None:
    plan = engine.make_plan(Matching(attributes=KINDS, link="across_sources"))
    rows, source = [*FILE[:50] * 2, FILE[0]], [*["a"] * 50, *["b"] * 50, "b"]
    found = match(records(rows, source, plan), 0.85)
    assert all(found.label[number + 50] == number for number in range(1, 50))
    assert len({int(found.label[row]) for row in (50, 100)}) == 2


def test_a_stewards_word_parts_copies_and_ties_them() -> None:
    rows = [*FILE, *([full(0)] * 4), full(7)]
    one, two, other, third = 0, len(FILE), len(FILE) + 1, len(FILE) + 4
    never = match(records(rows), 0.85, constraints=Constraints(never=np.asarray([[two, other]])))
    assert never.label[two] != never.label[other]
    assert never.label[two + 2] == never.label[two + 3]
    must = match(records(rows), 0.85, constraints=Constraints(must=np.asarray([[two, third]])))
    assert must.label[two] == must.label[third]
    free = match(records(rows), 0.85)
    assert set(free.label[[one, two, other, two + 2, two + 3]].tolist()) == {0}
    assert free.label[third] == 7


def test_a_stewards_link_holds_where_thousands_of_copies_are_one() -> None:
    """Groups of more than the records that are divided at once would fall apart."""
    rows = [*FILE, *([full(0)] * 3_000)]
    found = match(records(rows), 0.85, constraints=Constraints(must=np.asarray([[0, 3], [5, len(FILE) + 9]])))
    assert found.label[len(FILE) :].tolist() == [0] * 3_000
    assert found.label[3] == found.label[5] == 0


def test_each_copy_has_a_link_and_none_has_many() -> None:
    found = match(records([*FILE, *([full(0)] * 200)]), 0.85)
    copies = found.found.rule == len(engine.origins(PLAN)) - 1
    assert engine.origins(PLAN)[-1] == "all values alike"
    assert set(found.found.right[copies].tolist()) == set(range(len(FILE), len(FILE) + 200))
    assert found.found.left[copies].tolist() == [0] * 200
    pair = found.scored.probability[copies][0]
    np.testing.assert_allclose(found.confidence[len(FILE) :], max(pair, found.confidence[0]))  # the first may have a better link yet
    assert found.weakest[0] <= max(pair, found.confidence[0])


def test_a_record_that_came_a_hundred_thousand_times_costs_as_much_as_it_is_long() -> None:
    count = 100_000
    rows = {name: pa.array([full(3)[name]], pa.string()).take(pa.array(np.zeros(count, dtype=np.int64))) for name in KINDS}
    table = pa.concat_tables([pa.table(rows), pa.Table.from_pylist(FILE, pa.schema([(name, pa.string()) for name in KINDS]))])
    started = time.process_time()

    found = match(engine.prepare(table, PLAN), 0.85)

    assert time.process_time() - started < 20
    assert (found.label[:count] == 0).all()
    assert found.label[count + 3] == 0
    assert found.compared < 3_000
    assert len(found.found.left) < count + 3_000


@pytest.mark.parametrize("count", [0, 1, 2, 1_000])
def test_a_file_of_one_record_is_one_entity(count: int) -> None:
    assert match(records([full(0)] * count), 0.85).label.tolist() == [0] * count
