"""The gate judges each tenant's profile by each table rule; the report says so without showing any row."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import orjson
import pytest

from spine.core.entities import TableRule, load_entity
from spine.core.settings import settings
from spine.quality.gate import judge, warm_up
from spine.quality.profile import OUTCOMES, Profile
from spine.quality.report import Subject, Verdict, write_report

NOW = dt.datetime(2026, 1, 31, 8, tzinfo=dt.UTC)
ENTITIES = sorted(path.stem for path in settings().entities.glob("*.yaml"))
RULES = [(name, rule) for name in ENTITIES for rule in load_entity(name).table_rules]


def profile(tenant: str = "acme", **changed: Any) -> Profile:
    nulls = dict.fromkeys(("family_name", "city"), 10)
    facts: dict[str, Any] = {"outcomes": dict.fromkeys(OUTCOMES, 0) | {"new": 100}, "deleted": 0, "staged": 100, "live": 100}
    facts |= {
        "distinct_keys": 100,
        "newest": NOW - dt.timedelta(hours=3),
        "nulls": nulls,
        "distincts": {"city": 45},
        "past_rows": (50, 0, 100),
    }
    return Profile(tenant_id=tenant, **(facts | changed))


class Observed(Profile):
    """A profile whose metrics all have one value."""

    value = 0.0

    def metric(self, rule: TableRule, now: dt.datetime) -> float | None:
        return self.value


@pytest.mark.slow
@pytest.mark.parametrize(("name", "rule"), RULES, ids=[f"{name}-{rule.name}" for name, rule in RULES])
def test_a_table_rule_fails_on_its_declared_value(name: str, rule: TableRule) -> None:
    found = Observed(**vars(profile()))
    object.__setattr__(found, "value", rule.fails)
    judgements = {judgement.rule: judgement for judgement in judge(load_entity(name), [found], NOW)["acme"]}
    assert not judgements[rule.name].passed
    assert judgements[rule.name].observed == rule.fails


@pytest.mark.slow
def test_tenants_are_judged_apart() -> None:
    warm_up().join()
    found = judge(
        load_entity("person"), [profile("acme"), profile("north", distinct_keys=98), profile("south", nulls={"family_name": 90})], NOW
    )
    failed = {tenant: [judgement.rule for judgement in judgements if not judgement.passed] for tenant, judgements in found.items()}
    assert failed == {"acme": [], "north": ["keys_are_unique"], "south": ["names_are_present"]}
    assert found["north"][0].sentence() == "keys_are_unique: duplicate keys is 2, allowed at most 0"


@pytest.mark.parametrize(
    ("metric", "field", "expected"),
    [
        ("row_count_ratio", None, 100 / 75),
        ("null_share", "city", 0.1),
        ("distinct_share", "city", 0.5),
        ("quarantined_share", None, 0.0),
        ("duplicate_keys", None, 0),
        ("freshness_hours", None, 3.0),
    ],
)
def test_metrics(metric: Any, field: str | None, expected: float) -> None:
    rule = TableRule(name="r", metric=metric, field=field, fails=0)
    assert profile().metric(rule, NOW) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("metric", ["row_count_ratio", "null_share", "distinct_share", "quarantined_share", "freshness_hours"])
def test_where_there_is_nothing_there_is_nothing_to_judge(metric: Any) -> None:
    nothing = profile(outcomes=dict.fromkeys(OUTCOMES, 0), staged=0, live=0, distinct_keys=0, newest=None, past_rows=(), nulls={"city": 0})
    assert nothing.metric(TableRule(name="r", metric=metric, field="city", fails=0), NOW) is None


def test_a_small_run_is_not_judged_by_shares() -> None:
    rule = TableRule(name="r", metric="quarantined_share", max=0.2, min_rows=50, fails=0.5)
    outcomes = dict.fromkeys(OUTCOMES, 0) | {"new": 1, "quarantined": 1}
    assert profile(outcomes=outcomes, staged=1).metric(rule, NOW) is None
    assert profile(outcomes=outcomes, staged=60).metric(rule, NOW) == pytest.approx(1 / 61, abs=1e-5)


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
