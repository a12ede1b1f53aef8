"""Counts of values follow the data while weights stand still."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from spine.core.entities import Matching
from spine.identity import engine
from spine.identity.copies import Copies
from spine.identity.engine import LocalPairing
from spine.identity.learning.growth import Basis
from spine.identity.learning.model import Model
from spine.identity.learning.recounting import counting, follow, hashed, numbered
from spine.identity.matching import threshold_weight

KINDS: dict[str, Any] = {
    "given": "forename",
    "family": "surname",
    "mail": "email",
    "phone": "phone",
    "street": "street",
    "postcode": "postcode",
}
MATCHING = Matching.model_validate({"attributes": KINDS})
PLAN = engine.make_plan(MATCHING)
GIVEN = ["Anna", "Bruno", "Carla", "Dmitri", "Elena", "Farid", "Greta", "Hugo", "Ines", "Jonas"]
FAMILY = ["Abel", "Brandt", "Costa", "Dubois", "Ekman", "Ferrari", "Gruber", "Haas", "Iversen", "Jansen", "Keller", "Lund"]


def _person(number: int) -> dict[str, str]:
    given, family = GIVEN[number % 10], FAMILY[number // 10 % 12]
    return {
        "given": given, "family": family, "mail": f"{given}.{family}{number}@firm{number % 40}.org".lower(),
        "phone": f"+4930{1_000_003 + number * 91_373}", "street": f"{number + 3} {FAMILY[number % 12]} Street",
        "postcode": f"{10_100 + number * 7}",
    }  # fmt: skip


CROWD = [_person(number) for number in range(120)] + [_person(number) for number in range(0, 120, 5)]
SHARED = {
    "domain": ({"mail": "{given}.{family}@new-company.com"}, ("mail", 5), "new-company.com"),
    "switchboard": ({"phone": "+493055500001"}, ("phone", 1), "3055500001"),
    "surname": ({"family": "Zyxwell"}, ("surname", 1), "zyxwell"),
}


def _records(rows: list[dict[str, str]]) -> engine.Records:
    return engine.prepare(pa.table({name: pa.array([row.get(name) for row in rows], pa.string()) for name in KINDS}), PLAN)


def _learned() -> Model:
    records = _records(CROWD)
    copies = Copies.of(records)
    model, _ = LocalPairing().fit(records.take(copies.distinct), 1, 0.5, copies.repeated(records))
    model.basis = Basis(len(CROWD))
    return model


@pytest.fixture(scope="module")
def model() -> Model:
    return _learned()


def _staff(shared: dict[str, str], count: int) -> list[dict[str, str]]:
    people = [_person(1_000 + number) | {"given": GIVEN[number % 10], "family": FAMILY[number // 2 % 12]} for number in range(count)]
    return [person | {name: text.format(**person) for name, text in shared.items()} for person in people]


def _followed(model: Model, rows: list[dict[str, str]]) -> tuple[Model, np.ndarray, engine.Records]:
    records = _records([*CROWD, *rows])
    news: np.ndarray = np.arange(records.rows) >= len(CROWD)
    copies = Copies.of(records)
    numbers, named = numbered(PLAN, records.features)
    numbers = {term: np.where(copies.first == np.arange(records.rows), column, 0) for term, column in numbers.items()}
    return (*follow(PLAN, model, numbers, named, news), records)


@pytest.mark.parametrize("story", SHARED)
def test_a_value_that_a_batch_brings_many_times_counts_as_often_at_once(model: Model, story: str):
    shared, (name, level), text = SHARED[story]
    after, reached, records = _followed(model, _staff(shared, 22))
    assert model.terms[name][str(level)].counts.get(text, 1) == 1
    assert after.terms[name][str(level)].counts[text] > 15
    assert reached[len(CROWD) :].all()
    two = np.array([len(CROWD)]), np.array([len(CROWD) + 5])
    before, now = (engine.scored(records, known, _pair(records, known, *two)) for known in (model, after))
    column = [one.name for one in PLAN.comparisons].index(name)
    assert now.rarity[0, column] < before.rarity[0, column] - 1
    assert now.weight[0] < threshold_weight(0.85)


def _pair(records: engine.Records, model: Model, left: np.ndarray, right: np.ndarray) -> engine.Candidates:
    none = np.zeros(len(left), dtype=np.int64)
    return engine.Candidates(left, right, engine.patterns(records, left, right, model.rarity), none, none)


def test_another_record_of_one_person_makes_none_of_its_values_common(model: Model):
    after, _, _ = _followed(model, [_person(7) | {"given": "Hugh"}])
    for name, level in (("phone", "1"), ("mail", "1"), ("address", "1"), ("forename", "1"), ("surname", "1")):
        assert after.terms[name][level] == model.terms[name][level]


def test_copies_are_counted_once(model: Model):
    after, _, _ = _followed(model, [_person(2_000)] * 22)
    assert all(text not in after.terms["phone"]["1"].counts for text in (_person(2_000)["phone"][-10:],))


def test_twice_as_much_of_everything_makes_no_value_more_common(model: Model):
    rows = [row | {"phone": f"{row['phone']}9", "mail": f"x{row['mail']}", "postcode": f"2{row['postcode']}"} for row in CROWD]
    after, _, _ = _followed(model, rows)
    for name in ("forename", "surname"):
        former, now = (known.terms[name]["1"].counts for known in (model, after))
        assert max(now[text] / former[text] for text in former) < 1.3


def test_counts_only_rise(model: Model):
    high = counting(model, {("phone", 1): {"3055500001": 500.0}})
    after, _, _ = _followed(high, _staff(SHARED["switchboard"][0], 22))
    assert after.terms["phone"]["1"].counts["3055500001"] == 500.0
    assert "3055500001" not in model.terms["phone"]["1"].counts


def test_numbers_that_are_kept_tell_the_same_as_those_of_records_at_hand(model: Model):
    records = _records([*CROWD, *_staff(SHARED["domain"][0], 22)])
    news: np.ndarray = np.arange(records.rows) >= len(CROWD)
    one, other = (follow(PLAN, model, *make(PLAN, records.features), news) for make in (numbered, hashed))
    assert one[0] == other[0]
    assert one[1].tolist() == other[1].tolist()
