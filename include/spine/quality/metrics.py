"""The registered metrics of table rules: one number each of a tenant's profile. A new metric is a function here and its test.

A metric is None where there is nothing to judge. What it needs beyond the profile's own counts it measures itself (`measure`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import TYPE_CHECKING

from spine.core.entities import TableRule
from spine.core.vocabulary import Vocabulary
from spine.quality.profile import Profile

if TYPE_CHECKING:
    from pyspark.sql import Column


Value = Callable[["Profile", TableRule, datetime], float | None]
Measure = Callable[["Column", "Column"], "Column"]


@dataclass(frozen=True)
class Metric:
    """A registered metric: its value, the words of a rule that it reads, the counts of a field and the measure that it needs."""

    value: Value
    words: tuple[str, ...]
    counts: frozenset[str]
    measure: Measure | None


VOCABULARY: Vocabulary[Metric] = Vocabulary()


def metric(name: str, *words: str, counts: tuple[str, ...] = (), measure: Measure | None = None) -> Callable[[Value], Value]:
    """Register a function under the word that table rules use.

    `counts` are what the profile has to count of the rule's field, `nulls` or `distincts`. `measure` makes an aggregate of whether a row is
    live and the field's column; the profile then has it in `measured[name, field]`.
    """

    def register(function: Value) -> Value:
        VOCABULARY.add(name, Metric(function, words, frozenset(counts), measure))
        return function

    return register


@metric("row_count_ratio")
def row_count_ratio(profile: Profile, _: TableRule, __: datetime) -> float | None:
    """Rows of this run against the median of past runs, once there are three: a first load says nothing of what is usual.

    Example:
        name: row_count_in_band
        metric: row_count_ratio
        min: 0.5
        max: 2
        min_rows: 50
        severity: warning
        fails: 5
    """
    past = [rows for rows in profile.past_rows if rows]
    return profile.staged / median(past) if len(past) >= 3 else None


@metric("null_share", "field", counts=("nulls",))
def null_share(profile: Profile, rule: TableRule, _: datetime) -> float | None:
    """Share of live rows whose field is empty.

    Example:
        name: names_are_present
        metric: null_share
        field: family_name
        max: 0.6
        fails: 0.9
    """
    return profile.nulls[str(rule.field)] / profile.live if profile.live else None


@metric("distinct_share", "field", counts=("nulls", "distincts"))
def distinct_share(profile: Profile, rule: TableRule, _: datetime) -> float | None:
    """Share of different values among the filled ones of a field.

    Example:
        name: emails_differ
        metric: distinct_share
        field: email
        min: 0.5
        fails: 0.1
    """
    present = profile.live - profile.nulls[str(rule.field)]
    return profile.distincts[str(rule.field)] / present if present else None


@metric("quarantined_share")
def quarantined_share(profile: Profile, _: TableRule, __: datetime) -> float | None:
    """Share of judged rows that failed a row rule.

    Example:
        name: few_rows_quarantined
        metric: quarantined_share
        max: 0.2
        min_rows: 50
        fails: 0.5
    """
    judged = profile.staged + profile.outcomes["quarantined"]
    return profile.outcomes["quarantined"] / judged if judged else None


@metric("duplicate_keys")
def duplicate_keys(profile: Profile, _: TableRule, __: datetime) -> float | None:
    """Number of rows whose key another row has too.

    Example:
        name: keys_are_unique
        metric: duplicate_keys
        max: 0
        fails: 1
    """
    return profile.staged - profile.distinct_keys


@metric("freshness_hours")
def freshness_hours(profile: Profile, _: TableRule, now: datetime) -> float | None:
    """Age of the newest record in hours.

    Example:
        name: something_new_each_day
        metric: freshness_hours
        max: 24
        severity: warning
        fails: 100
    """
    return None if profile.newest is None else (now - profile.newest).total_seconds() / 3600


def measured(profile: Profile, rule: TableRule, now: datetime) -> float | None:
    """The value that a table rule judges; None where there is nothing to judge or the run is too small for the rule."""
    if profile.staged + profile.outcomes["quarantined"] < rule.min_rows:
        return None
    value = VOCABULARY[rule.metric].value(profile, rule, now)
    return None if value is None else round(value, 6)
