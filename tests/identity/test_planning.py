"""Plans: whatever kinds an entity has, something is compared and blocked, nothing is silently ignored, and stated choices hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spine.core.entities import Matching
from spine.core.errors import ConfigError
from spine.identity import engine, matching
from spine.identity.attribute import AttributeKind
from spine.identity.blocking import rules as blocking
from spine.identity.explaining.waterfalls import waterfall
from spine.identity.kinds import all_kinds, category, kind_of
from spine.identity.planning import make_plan
from spine.identity.standardize.text import plain

VALUES: dict[str, list[str]] = {
    "forename": ["Ann", "Bob", "Anne Marie"], "surname": ["Lee", "Kowalski", "de la Cruz"], "full_name": ["Ann Lee", "Kowalski, Bob"],
    "organization": ["Acme Ltd", "Bolt Partners"], "date": ["1980-02-03", "1975-11-30"], "email": ["a@firm.com", "info@firm.com"],
    "phone": ["+49 30 123 98 76", "030 555 12 99"], "street": ["12 Elm Street", "7 Oak Road"], "house_number": ["12", "7b"],
    "city": ["Leeds", "York"], "postcode": ["LS1 4AP", "10115"], "region": ["NY", "CA"], "country": ["DE", "FR"],
    "national_id": ["AB123456", "XY987654"], "url": ["https://acme.com", "bolt.io"], "text": ["a long story of the sea", "another text"],
    "title": ["The Sea", "Red House"], "category": ["x", "y"], "number": ["12.50", "1,200"], "ignore": ["anything"],
}  # fmt: skip
VALUES |= {kind.name: [kind.example] for kind in all_kinds() if kind.name not in VALUES}
WEAK = {kind.name for kind in all_kinds() if not kind.identifies} | {"ignore"}


def _attributes(kinds: list[str]) -> dict[str, str]:
    return {f"{kind}_{number}": kind for number, kind in enumerate(kinds)}


def _records(attributes: dict[str, str], rows: list[list[str | None]], **stated: Any) -> engine.Records:
    plan = make_plan(Matching(attributes=attributes, **stated))
    columns = zip(*rows, strict=True)
    return engine.prepare(pa.table({name: pa.array(values, pa.string()) for name, values in zip(attributes, columns, strict=True)}), plan)


def _pairs(records: engine.Records) -> dict[tuple[int, int], float]:
    """Probability of every pair that blocking finds, under what is learned from the records."""
    model, found = engine.fit(records)
    chances = engine.scored(records, model, found).probability
    return {(int(left), int(right)): float(chance) for left, right, chance in zip(found.left, found.right, chances, strict=True)}


@settings(max_examples=60, deadline=None)
@given(kinds=st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=7), data=st.data())
def test_any_combination_of_kinds_can_be_compared_or_says_why_not(kinds, data):
    attributes = _attributes(kinds)
    if not set(kinds) - WEAK:
        with pytest.raises(ConfigError, match="no attribute to match on"):
            make_plan(Matching(attributes=attributes))
        return
    plan = make_plan(Matching(attributes=attributes))
    used = {name for comparison in plan.comparisons for name in plan.attributes(comparison.feature)}
    assert used == {name for name, kind in attributes.items() if kind != "ignore"}
    assert blocking.make_rules(plan)
    assert len({comparison.name for comparison in plan.comparisons}) == len(plan.comparisons)
    row = st.tuples(*(st.sampled_from([None, *VALUES[kind]]) for kind in kinds))
    rows = [list(values) for values in data.draw(st.lists(row, min_size=2, max_size=8))]
    found = matching.match(_records(attributes, rows), 0.85)
    assert found.label.shape == (len(rows),)
    assert np.isfinite(found.scored.weight).all()


@pytest.mark.parametrize("kind", sorted(set(VALUES) - WEAK))
def test_one_attribute_alone_finds_the_records_that_share_its_value(kind):
    rows = [[VALUES[kind][0]], [VALUES[kind][0]], [VALUES[kind][-1]]]
    records = _records({"only": kind}, rows)
    assert (0, 1) in _pairs(records)


def test_two_attributes_of_one_kind_are_both_compared():
    plan = make_plan(Matching(attributes={
        "given": "forename", "middle": "forename", "surname": "surname", "maiden": "surname", "street": "street", "city": "city",
        "work_street": "street", "work_city": "city", "birth_place": "city", "born": "date", "died": "date",
    }))  # fmt: skip
    assert [comparison.name for comparison in plan.comparisons] == [
        "forename", "surname", "generation", "forename 2", "surname 2", "generation 2", "address", "address 2",
        "birth_place", "born", "died",
    ]  # fmt: skip
    assert plan.attributes("person name 2") == ("middle", "maiden")
    assert plan.attributes("postal address 2") == ("work_street", "work_city")


def test_names_of_columns_may_be_those_of_comparisons():
    plan = make_plan(Matching(attributes={"last": "surname", "address": "text", "city": "city", "forename": "category"}))
    assert [comparison.name for comparison in plan.comparisons] == [
        "forename",
        "surname",
        "generation",
        "address",
        "address (text)",
        "forename (category)",
    ]


PERSON = {"given": "forename", "last": "surname", "born": "date", "city": "city"}


def test_a_stated_comparison_leaves_its_composite_and_the_name_stays_for_blocking():
    plan = make_plan(Matching(attributes=PERSON, comparisons={"last": ["exact", "edits <= 2"], "city": {"term_frequency": False}}))
    by_name = {comparison.name: comparison for comparison in plan.comparisons}
    assert list(by_name) == ["forename", "generation", "last", "born", "city"]
    assert by_name["last"].labels == ("exact", "edits <= 2", "different")
    assert by_name["last"].terms
    assert not by_name["city"].terms
    rules = blocking.make_rules(plan)
    assert "all name words" in [rule.name for rule in rules]
    words = next(rule for rule in rules if rule.name == "all name words")
    assert words.features >= {"person name", "last"}, "pairs that share all words agree on the surname by construction"


def test_stated_blocking_replaces_the_chosen_rules_or_stands_beside_them():
    stated = [["last.sound", "born.year"]]
    alone = blocking.make_rules(make_plan(Matching(attributes=PERSON, blocking=stated)))
    beside = blocking.make_rules(make_plan(Matching(attributes=PERSON, blocking=["chosen", *stated])))
    assert [rule.name for rule in alone] == ["last.sound and born.year"]
    chosen = engine.rule_names(make_plan(Matching(attributes=PERSON)))
    assert [rule.name for rule in beside] == [*chosen, "last.sound and born.year"]
    rows: list[list[str | None]] = [["Ann", "Smith", "1980-02-03"], ["Al", "Smyth", "1980-12-30"], ["A", "Smith", "1981-02-03"]]
    records = _records(PERSON, [[*row, None] for row in rows], blocking=stated)
    assert set(_pairs(records)) == {(0, 1)}


def test_a_budget_is_kept_to_the_letter():
    rows = [["Ann", "Lee", "1980-02-03", None]] * 9 + [["Bo", "Kim", "1970-01-02", None]] * 3
    tight = _records(PERSON, rows, blocking=[["last"]], budget=1)
    own = _records(PERSON, rows, blocking=[{"key": ["last"], "budget": 3}], budget=1)
    assert set(_pairs(tight)) == {(9, 10), (9, 11), (10, 11)}
    assert len(_pairs(own)) == 3, "36 + 3 pairs are more than 3 for each of 12 records"


def _crowd(rows: list[list[str | None]]) -> list[list[str | None]]:
    others = [[f"{a}{b}o", f"{b}{a}{a}ski", f"19{40 + number}-0{1 + number % 9}-1{number % 9}", "York"]
              for number, (a, b) in enumerate(zip("bcdfghjklmnpqrstvwxz", "aeiouaeiouaeiouaeiou", strict=True))]  # fmt: skip
    return [*rows, *others]


def test_a_certain_rule_links_what_nothing_else_would():
    rows = _crowd([["Ann", "Lee", None, "Leeds"], ["Bob", "Lee", None, "Leeds"]])
    plain, certain = _records(PERSON, rows), _records(PERSON, rows, same=[["last", "city"]])
    assert _pairs(plain).get((0, 1), 0.0) < 0.9
    assert _pairs(certain)[0, 1] >= 0.99
    label = matching.match(certain, 0.85).label
    assert label[0] == label[1]


def test_a_certain_rule_needs_every_attribute():
    rows = _crowd([["Ann", "Lee", None, None], ["Bob", "Lee", None, None]])
    assert _pairs(_records(PERSON, rows, same=[["last", "city"]])).get((0, 1), 0.0) < 0.9


def test_a_never_rule_is_stronger_than_a_certain_one():
    rows = _crowd([["Ann", "Lee", "1980-01-02", "Leeds"], ["Ann", "Lee", "1955-11-23", "Leeds"]])
    label = matching.match(_records(PERSON, rows, same=[["last", "city"]]), 0.85).label
    assert label[0] != label[1]
    assert _pairs(_records(PERSON, rows, same=[["last", "city"]]))[0, 1] < 0.99
    free = matching.match(_records(PERSON, rows, same=[["last", "city"]], never=[]), 0.85).label
    assert free[0] == free[1], "an empty list of never rules takes the chosen ones away"


def test_a_stated_never_rule_keeps_records_apart():
    rows = _crowd([["Ann", "Lee", "1980-01-02", "Leeds"], ["Ann", "Lee", "1980-01-02", "Hull"], ["Ann", "Lee", "1980-01-02", None]])
    label = matching.match(_records(PERSON, rows), 0.85).label
    apart = matching.match(_records(PERSON, rows, never=["chosen", "city"]), 0.85).label
    assert label[0] == label[1]
    assert apart[0] != apart[1]


def test_a_never_rule_of_two_attributes_needs_both_to_differ():
    rows = _crowd([["Ann", "Lee", "1980-01-02", "Leeds"], ["Ann", "Lee", "1980-01-02", "Hull"]])
    label = matching.match(_records(PERSON, rows, never=[["city", "given"]]), 0.85).label
    assert label[0] == label[1]


def test_fixed_weights_and_prior_are_not_learned():
    weights = {"last": {"m": [0.8, 0.2], "u": [0.1, 0.9]}}
    records = _records(PERSON, _crowd([]), comparisons={"last": ["exact"]}, weights=weights, prior=0.01)
    model, _ = engine.fit(records)
    assert model.m["last"] == pytest.approx([0.8, 0.2])
    assert model.u["last"] == pytest.approx([0.1, 0.9])
    assert model.prior == pytest.approx(np.log2(0.01 / 0.99))
    assert model.m["forename"] != pytest.approx(list(records.plan.comparisons[0].m))


def test_weights_stated_for_the_former_levels_of_dates_weigh_as_they_did():
    m, u = [0.9, 0.04, 0.02, 0.02, 0.02], [0.001, 0.002, 0.02, 0.03, 0.947]
    plan = make_plan(Matching(attributes={"key": "national_id", "born": "date"}, weights={"born": {"m": m, "u": u}}))
    born = next(one for one in plan.comparisons if one.name == "born")
    assert sum(born.m) == pytest.approx(1)
    assert [one / other for one, other in zip(born.m, born.u, strict=True)][-1] == pytest.approx(m[-1] / u[-1])
    assert born.m[0] / born.u[0] == pytest.approx(m[0] / u[0])


@pytest.mark.parametrize(
    ("weights", "says"),
    [
        ({"town": {"m": [0.5, 0.5], "u": [0.5, 0.5]}}, "no such comparison"),
        ({"born": {"m": [0.5, 0.5], "u": [0.5, 0.5]}}, "need 9 chances"),
    ],
)
def test_weights_that_fit_no_comparison_are_named(weights, says):
    with pytest.raises(ConfigError, match=says):
        make_plan(Matching(attributes=PERSON, weights=weights))


def test_too_many_comparisons_or_rules_are_refused():
    with pytest.raises(ConfigError, match="too many"):
        make_plan(Matching(attributes={f"e{number}": "email" for number in range(30)}))
    rules = [[f"last.first{number}"] for number in range(1, 64)]
    with pytest.raises(ConfigError, match="too many"):
        blocking.make_rules(make_plan(Matching(attributes=PERSON, blocking=rules)))


def test_the_waterfall_names_the_certain_rule():
    records = _records(PERSON, _crowd([["Ann", "Lee", None, "Leeds"], ["Bob", "Lee", None, "Leeds"]]), same=[["last", "city"]])
    model, found = engine.fit(records)
    scored = engine.scored(records, model, found)
    row = int(np.flatnonzero((found.left == 0) & (found.right == 1))[0])
    steps = waterfall(records.plan, model, records.features, scored, row, 0, 1)
    assert [step["level"] for step in steps if step["attribute"] == "same last and city"] == [1]
    assert sum(step["weight"] + step["tf_adjustment"] for step in steps) == pytest.approx(scored.weight[row], abs=0.01)


class Colour(AttributeKind):
    """A kind of no whole that says by levels alone how it is compared."""

    name = "category"  # in its place, since the words of entity files are those of the files that there are
    example = "Red"
    alone_levels = ("exact", "edits <= 1")

    def standardize(self, text: str | None) -> str | None:
        return plain(text)


@pytest.fixture
def colour(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(category, "KIND", Colour())
    kind_of.cache_clear()
    yield
    kind_of.cache_clear()


@pytest.mark.usefixtures("colour")
def test_a_kind_without_a_comparison_of_its_own_is_compared_by_its_levels() -> None:
    records = _records({"colour": "category"}, [["Red"], ["red"], ["Read"], ["blue"]])
    (comparison,) = records.plan.comparisons
    assert (comparison.name, comparison.labels) == ("colour", ("exact", "edits <= 1", "different"))
    patterns = engine.patterns(records, np.array([0, 0, 0]), np.array([1, 2, 3]), {})
    assert records.plan.digits(patterns)[:, 0].tolist() == [1, 2, 3]
