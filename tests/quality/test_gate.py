"""The gate judges each tenant's profile by each table rule; the report says so without showing any row."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from spine.cli.reference import documented
from spine.core.entities import Entity, TableRule, load_entity
from spine.quality.gate import Judgement, judge, warm_up
from spine.quality.metrics import VOCABULARY, measured
from spine.quality.profile import OUTCOMES, Profile
from spine.quality.profiling import profiles
from spine.quality.report import Subject, Verdict, write_report

NOW = dt.datetime(2026, 1, 31, 8, tzinfo=dt.UTC)
ENTITIES = ("opportunity", "organization", "person")  # ours; rows that break the rules of another are its author's to write
RULES = [(name, rule) for name in ENTITIES for rule in load_entity(name).table_rules]


def profile(tenant: str = "acme", **changed: Any) -> Profile:
    nulls = dict.fromkeys(("family_name", "city"), 10)
    facts: dict[str, Any] = {"outcomes": dict.fromkeys(OUTCOMES, 0) | {"new": 100}, "deleted": 0, "staged": 100, "live": 100}
    facts |= {
        "distinct_keys": 100,
        "newest": NOW - dt.timedelta(hours=3),
        "nulls": nulls,
        "distincts": {"city": 45},
        "past_rows": (50, 0, 75, 100),
    }
    return Profile(tenant_id=tenant, **(facts | changed))


Rows = list[dict[str, Any]]


def staged_row(number: int, **changed: Any) -> dict[str, Any]:
    row = {"record_ref": f"s:c:{number}", "outcome": "new", "is_deleted": False, "age": 1.0, "value": f"v{number}"}
    return row | changed


def doubled(value: float) -> Rows:
    return [staged_row(max(0, number - int(value))) for number in range(100)]


def quarantined(value: float) -> Rows:
    return [staged_row(number, outcome="quarantined" if number < round(100 * value) else "unchanged") for number in range(100)]


def empty(value: float) -> Rows:
    gone = [staged_row(100 + number, is_deleted=True, value=None) for number in range(30)]  # are not judged
    return gone + [staged_row(number, value=None if number < round(100 * value) else "v") for number in range(100)]


def alike(value: float) -> Rows:
    return [staged_row(number, value=f"v{number % round(100 * value)}") for number in range(100)] + [staged_row(100, value=None)]


def aged(value: float) -> Rows:
    return [staged_row(number, age=value + number) for number in range(3)]


def many(value: float) -> Rows:
    return [staged_row(number) for number in range(int(value) if value > 1 else 100)]


def fewer_before(value: float) -> list[int]:
    usual = 1 if value > 1 else round(100 / value)
    return [usual, 0, usual, usual]


@dataclass(frozen=True)
class Tried:
    """How a metric is tried: staged rows (and the numbers of rows of past runs) for which it has a value, what it is of `profile()`, and
    what it is where there is nothing. `measured` is what the profile has of a metric that measures something of its own.
    """

    rows: Callable[[float], Rows]
    usual: float
    nothing: float | None = None
    past: Callable[[float], list[int]] = lambda value: []
    measured: Any = None


# A new metric has its line here, and nowhere else in this file.
TRIED = {
    "row_count_ratio": Tried(many, 100 / 75, past=fewer_before),
    "null_share": Tried(empty, 0.1),
    "distinct_share": Tried(alike, 0.5),
    "quarantined_share": Tried(quarantined, 0.0),
    "duplicate_keys": Tried(doubled, 0, nothing=0),
    "freshness_hours": Tried(aged, 3.0),
}
# Metrics that no entity declares a rule for are judged by the rule that their own example is.
_DECLARED = {rule.metric for _, rule in RULES}
UNDECLARED = [
    ("person", TableRule.model_validate(yaml.safe_load(documented(metric.value)[1])))
    for name, metric in VOCABULARY.items() if name not in _DECLARED
]  # fmt: skip


def test_every_metric_is_tried() -> None:
    assert set(TRIED) == set(VOCABULARY)


def trials(name: str) -> dict[str, tuple[TableRule, float]]:
    """By tenant: a rule and a value of its metric, which is what the rule declares to fail or a limit that still passes."""
    found = {}
    for entity, rule in [*RULES, *UNDECLARED]:
        for word, value in (("fails", rule.fails), ("least", rule.min), ("greatest", rule.max)):
            if entity == name and value is not None:
                found[f"{rule.name}-{word}"] = (rule, value)
    return found


TRIALS = [(name, tenant, rule, value) for name in ENTITIES for tenant, (rule, value) in trials(name).items()]


@pytest.fixture(scope="module")
def judged(spark: Any) -> dict[str, dict[str, list[Judgement]]]:
    """The judgements of each entity's rules by tenant, from rows through Spark's aggregation to Great Expectations."""
    return {name: judge_rows(spark, name) for name in ENTITIES}


def judge_rows(spark: Any, name: str) -> dict[str, list[Judgement]]:
    entity = load_entity(name)
    entity = entity.model_copy(update={"table_rules": (*entity.table_rules, *(rule for own, rule in UNDECLARED if own == name))})
    rows, past = [], {}
    for tenant, (rule, value) in trials(name).items():
        mine, past[tenant] = TRIED[rule.metric].rows(value), TRIED[rule.metric].past(value)
        beside = [staged_row(1, outcome="superseded", age=0.0), staged_row(2, outcome="filtered", age=0.0)]  # count in no metric
        rows += [row_of(tenant, rule.field, row) for row in [*mine, *beside]]
    fields = ", ".join(f"`{field}` string" for field in entity.fields)
    schema = (
        "tenant_id string, record_ref string, outcome string, is_deleted boolean, source_cursor string, emitted_at timestamp, "
        f"fields struct<{fields.replace(' string', ': string')}>"
    )
    runs = [{tenant: counts[place] for tenant, counts in past.items() if counts} for place in range(4)]
    frame = spark.createDataFrame([whole(row, entity, place) for place, row in enumerate(rows)], schema)
    return judge(entity, profiles(frame, entity, runs), NOW)


def row_of(tenant: str, field: str | None, row: dict[str, Any]) -> dict[str, Any]:
    moment = NOW - dt.timedelta(hours=row["age"])
    return row | {"tenant_id": tenant, "source_cursor": moment.isoformat(), "field": field}


def whole(row: dict[str, Any], entity: Entity, place: int) -> tuple[Any, ...]:
    """The row as Spark takes it: every field filled, the judged one with its value; emitted long ago, which the cursor outweighs."""
    fields = tuple(row["value"] if name == row["field"] else f"good {place}" for name in entity.fields)
    ago = NOW - dt.timedelta(days=900)
    return (row["tenant_id"], row["record_ref"], row["outcome"], row["is_deleted"], row["source_cursor"], ago, fields)


@pytest.mark.spark
@pytest.mark.slow
@pytest.mark.parametrize(("name", "tenant", "rule", "value"), TRIALS, ids=[f"{name}-{tenant}" for name, tenant, _, _ in TRIALS])
def test_a_table_rule_fails_on_rows_beyond_its_limit_and_passes_at_it(
    judged: dict[str, dict[str, list[Judgement]]], name: str, tenant: str, rule: TableRule, value: float
) -> None:
    judgements = judged[name][tenant]
    assert {judgement.rule: judgement.observed for judgement in judgements}[rule.name] == pytest.approx(value, abs=1e-6)
    assert [judgement.rule for judgement in judgements if not judgement.passed] == ([rule.name] if tenant.endswith("-fails") else [])


@pytest.mark.slow
def test_tenants_are_judged_apart() -> None:
    warm_up().join()
    found = judge(
        load_entity("person"), [profile("acme"), profile("north", distinct_keys=98), profile("south", nulls={"family_name": 90})], NOW
    )
    failed = {tenant: [judgement.rule for judgement in judgements if not judgement.passed] for tenant, judgements in found.items()}
    assert failed == {"acme": [], "north": ["keys_are_unique"], "south": ["names_are_present"]}
    assert found["north"][0].sentence() == "keys_are_unique: duplicate keys is 2, allowed at most 0"


def rule_of(metric: str) -> TableRule:
    return TableRule(name="r", metric=metric, field="city" if "field" in VOCABULARY[metric].words else None, max=0, fails=1)


@pytest.mark.parametrize("metric", TRIED)
def test_metrics(metric: str) -> None:
    facts = profile(measured={(metric, "city"): TRIED[metric].measured})
    assert measured(facts, rule_of(metric), NOW) == pytest.approx(TRIED[metric].usual, abs=1e-5)


@pytest.mark.parametrize("metric", TRIED)
def test_where_there_is_nothing_there_is_nothing_to_judge(metric: str) -> None:
    facts = {"outcomes": dict.fromkeys(OUTCOMES, 0), "staged": 0, "live": 0, "distinct_keys": 0, "newest": None, "past_rows": ()}
    nothing = profile(**facts, nulls={"city": 0}, distincts={"city": 0}, measured={(metric, "city"): None})
    assert measured(nothing, rule_of(metric), NOW) == TRIED[metric].nothing


@pytest.mark.parametrize(("past", "expected"), [((3000,), None), ((3000, 40), None), ((3000, 40, 38), 2.5)])
def test_a_first_load_does_not_say_what_is_usual(past: tuple[int, ...], expected: float | None) -> None:
    rule = TableRule(name="r", metric="row_count_ratio", max=50, fails=100)
    assert measured(profile(past_rows=past), rule, NOW) == expected


@pytest.mark.parametrize("name", ["organization", "person"])
def test_ten_times_the_usual_rows_is_no_alarm_and_a_thousand_times_is(name: str) -> None:
    """A limit that no run can pass is none."""
    bands = [rule for rule in load_entity(name).table_rules if rule.metric == "row_count_ratio" and rule.max is not None]
    assert [10 < (rule.max or 0) < 1000 for rule in bands] == [True]


def test_a_small_run_is_not_judged_by_shares() -> None:
    rule = TableRule(name="r", metric="quarantined_share", max=0.2, min_rows=50, fails=0.5)
    outcomes = dict.fromkeys(OUTCOMES, 0) | {"new": 1, "quarantined": 1}
    assert measured(profile(outcomes=outcomes, staged=1), rule, NOW) is None
    assert measured(profile(outcomes=outcomes, staged=60), rule, NOW) == pytest.approx(1 / 61, abs=1e-5)
    assert measured(profile(outcomes=outcomes, staged=49), rule, NOW) == pytest.approx(1 / 50, abs=1e-5), "quarantined rows were judged too"


@pytest.mark.slow
def test_an_entity_without_table_rules_lets_everything_pass() -> None:
    entity = load_entity("person").model_copy(update={"table_rules": ()})
    assert judge(entity, [profile()], NOW) == {"acme": []}


def verdicts(*profiles: Profile) -> list[Verdict]:
    found = judge(load_entity("person"), profiles, NOW)
    reasons = [{"rule": "email_is_valid", "field": "email", "count": 7}, {"rule": "<script>", "field": None, "count": 1}]
    return [Verdict(one, found[one.tenant_id], reasons) for one in profiles]


@pytest.mark.slow
def test_a_page_is_self_contained_and_tells_rules_limits_and_reasons(home: Path) -> None:
    report = write_report(Subject("run 1/..", "salesforce", load_entity("person"), NOW), verdicts(profile(distinct_keys=99)))
    assert not report["passed"]
    page = Path(report["page"]).read_text()
    assert Path(report["page"]).is_relative_to(home / "validations")
    for text in (
        "keys are unique",
        "at most 0",
        "✗ failed",
        "the e-mail is not an address",
        ">7<",
        "prefers-color-scheme: dark",
        "viewport",
    ):
        assert text in page
    assert "<script>" not in page
    assert "http" not in page
    content = orjson.loads(Path(report["json"]).read_bytes())
    assert (content["tenant_id"], content["passed"], content["rules"][0]["observed"]) == ("acme", False, 1.0)


@pytest.mark.slow
def test_several_tenants_have_pages_of_their_own(home: Path) -> None:
    report = write_report(
        Subject("run", "salesforce", load_entity("person"), NOW), verdicts(profile("acme"), profile("north", distinct_keys=90))
    )
    own = {tenant: Path(page).read_text() for tenant, page in report["pages"].items()}
    common = Path(report["page"]).read_text() + Path(report["json"]).read_text()
    assert "north" not in own["acme"]
    assert "acme" not in own["north"]
    assert "acme" not in common
    assert "north" not in common
    assert "1 of 2 tenants pass" in common
    assert orjson.loads(Path(report["json"]).read_bytes())["tenant_id"] is None
