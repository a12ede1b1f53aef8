# ruff: noqa: RUF001 - letters of other alphabets are what this is about
"""Dates of which only a part is known: nothing is guessed, and what is unknown is not held against a pair."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spine.core.entities import Matching
from spine.identity import engine, matching
from spine.identity.kinds.date import DATE_LEVELS, DAY, YEAR, compare, date
from spine.identity.learning import learn
from spine.identity.planning import make_plan


@pytest.mark.parametrize(
    "text",
    ["1843", "c. 1843", "c1843", "ca 1843", "ca. 1843", "circa 1843", "about 1843", "abt. 1843", "1843?", "(1843)", "[1843?]", "~1843",
     "um 1843", "vers 1843", "est. 1843", "born 1843", "1843.0", "1843-00-00", "١٨٤٣", "1843年"],
)  # fmt: skip
def test_a_year_alone(text):
    assert date(text) == "18430000"


@pytest.mark.parametrize(
    "text",
    ["1843-05", "05/1843", "5.1843", "May 1843", "mai 1843", "c. May 1843", "1843-05-00", "1843/05", "1843年5月", "maio de 1843"],
)
def test_a_year_and_a_month(text):
    assert date(text) == "18430500"


@pytest.mark.parametrize(
    "text", ["1843-05-12", "1843/05/12", "1843.5.12", "12 May 1843", "12 de mayo de 1843", "1843年5月12日", "١٨٤٣-٠٥-١٢"]
)
def test_a_whole_date(text):
    assert date(text) == "18430512"


@pytest.mark.parametrize(
    "text",
    ["1/0/1900", "0/1/1900", "1900-01-00", "1753-01-01", "1970-01-01", "1901-01-01", "0001-01-01", "9999-12-31 00:00:00", "9999",
     "31.12.2999", "0000-00-00", "13/1843", "1900-01-01T00:00:00"],
)  # fmt: skip
def test_what_is_typed_because_there_must_be_a_date_is_none(text):
    assert date(text) is None


def test_a_decade_and_a_short_year_are_not_made_exact():
    assert date("1840s") == date("184?") == "184x0000"
    assert date("1/2/85") == "xx850201"


def _level(one: str, other: str) -> str:
    values = sorted({one, other})
    found = compare(values, np.array([values.index(one)]), np.array([values.index(other)]), {})
    return DATE_LEVELS[int(found[0]) - 1]


@pytest.mark.parametrize(
    ("one", "other", "level"),
    [
        ("1843", "1843", "same year, rest unknown"),
        ("1843", "1843-05-12", "same year, rest unknown"),
        ("1843-05", "1843-05-12", "same month, day unknown"),
        ("1843", "1844", "about the same year, rest unknown"),
        ("1843", "1845-05-12", "about the same year, rest unknown"),
        ("1843", "1850", "other year, rest unknown"),
        ("1843", "1860", "different date"),
        ("1840s", "1849", "about the same year, rest unknown"),
        ("1840s", "1851-02-03", "about the same year, rest unknown"),
        ("1840s", "1880", "different date"),
        ("1843-05-12", "1844-07-30", "different date"),
        ("1/2/85", "1985-02-01", "same date"),
        ("1/2/85", "1985-02-03", "one slip or swapped day and month"),
        ("1/2/85", "1971-12-30", "different date"),
        ("1843-05-12", "1843-12-05", "one slip or swapped day and month"),
    ],
)
def test_levels_by_what_is_known(one, other, level):
    assert _level(date(one), date(other)) == level
    assert _level(date(other), date(one)) == level


_PARTS = st.builds(
    "{}{}{}".format, st.sampled_from(["1843", "1844", "1849", "1943", "184x", "xx43", "l843"]), st.sampled_from(["00", "05", "12"]),
    st.sampled_from(["00", "05", "12", "28"]),
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.lists(_PARTS, min_size=1, max_size=8, unique=True))
def test_levels_are_symmetric_and_a_value_agrees_with_itself(values):
    left, right = np.triu_indices(len(values))
    found = compare(values, left, right, {})
    assert found.tolist() == compare(values, right, left, {}).tolist()
    assert (found[left == right] <= 4).all()


def test_keys_are_cut_from_what_is_there():
    assert YEAR.texts("18430000") == ["1843"]
    assert "1985" in YEAR.texts("xx850201")
    assert DAY.texts("xx850201") == DAY.texts("19850201")


def _records(years: list[str]) -> engine.Records:
    plan = make_plan(Matching(attributes={"given": "forename", "last": "surname", "born": "date"}))
    names = [f"given{chr(97 + number // 26)}{chr(97 + number % 26)}" for number in range(len(years))]
    return engine.prepare(pa.table({"given": names, "last": names[::-1], "born": years}), plan)


def test_years_alone_are_never_different_dates_unless_far_apart():
    records = _records([str(1840 + number % 10) for number in range(60)])
    patterns = engine.patterns(records, *np.triu_indices(60, 1), {})
    place = [one.name for one in records.plan.comparisons].index("born")
    assert len(DATE_LEVELS) not in records.plan.digits(patterns)[:, place]


def test_what_is_believed_of_dates_goes_to_the_levels_that_can_occur():
    for years, cannot in (
        (["1843", "1850"] * 20, ("same date", "two slips")),
        (["1843-05-12", "1850-07-28"] * 20, ("same year, rest unknown",)),
    ):
        records = _records(years)
        model = learn.start(records.plan, records.features, records.rows)
        m = dict(zip(DATE_LEVELS, model.m["born"], strict=True))
        assert sum(m.values()) == pytest.approx(1)
        assert all(m[label] < 0.002 for label in cannot)


def test_one_person_of_two_sources_is_found_by_name_and_year():
    """Census and register: the year alone, off by one in every fourth."""
    generator = np.random.default_rng(1)
    syllables = ["bar", "den", "kol", "mir", "sta", "vor", "lin", "gra", "hes", "pon", "tul", "wex"]
    given, last = (["".join(generator.choice(syllables, 3)) for _ in range(300)] for _ in range(2))
    years = generator.integers(1820, 1870, 300)
    rows = [(given[at], last[at], str(years[at] + (side and at % 4 == 0))) for side in (0, 1) for at in range(300)]
    columns = zip(*rows, strict=True)
    plan = make_plan(Matching(attributes={"given": "forename", "last": "surname", "born": "date"}))
    records = engine.prepare(pa.table(dict(zip(("given", "last", "born"), map(list, columns), strict=True))), plan)
    found = matching.match(records, 0.85).label
    assert (found[:300] == found[300:]).mean() > 0.98
