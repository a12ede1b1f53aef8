"""Every declared rule fails on the row it declares, and passes a good one."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from spine.core.entities import Entity, RowRule, load_entity
from spine.core.settings import settings
from spine.quality.rules import reasons, row_rules

SPARK_TYPES = {"integer": "bigint", "decimal": "decimal(28,6)"}
ENTITIES = sorted(path.stem for path in settings().entities.glob("*.yaml"))
RULES = [(name, rule) for name in ENTITIES for rule in row_rules(load_entity(name))]
GOOD = {"string": "good", "integer": 1, "decimal": 1, "boolean": True, "date": "2001-02-03", "timestamp": "2001-02-03T04:05:06Z"}


def row_of(spark: Any, entity: Entity, values: dict[str, Any]) -> Any:
    from pyspark.sql import functions as F

    columns = []
    for name, field in entity.fields.items():
        value = values.get(name)
        text = None if value is None else str(value).lower() if isinstance(value, bool) else str(value)
        columns.append(F.lit(text).cast(SPARK_TYPES.get(field.type, field.type)).alias(name))
    return spark.range(1).select(*columns)


def failing(spark: Any, entity: Entity, values: dict[str, Any]) -> set[str]:
    from pyspark.sql import functions as F

    found = row_of(spark, entity, values).select(F.array_compact(F.array(*reasons(entity, F.col))).alias("reasons")).collect()
    return {reason["rule"] for reason in found[0]["reasons"]}


@pytest.mark.spark
@pytest.mark.parametrize(("name", "rule"), RULES, ids=[f"{name}-{rule.name}" for name, rule in RULES])
def test_a_row_rule_fails_on_its_declared_row(spark: Any, name: str, rule: RowRule) -> None:
    assert rule.name in failing(spark, load_entity(name), dict(rule.fails))


@pytest.mark.spark
@pytest.mark.parametrize("name", ["opportunity", "organization", "person"])
def test_a_good_row_fails_no_rule(spark: Any, name: str) -> None:
    entity = load_entity(name)
    good = {field: "a@b.org" if field == "email" else GOOD[declared.type] for field, declared in entity.fields.items()}
    assert failing(spark, entity, good) == set()


def entity_with(*rules: dict[str, Any], **fields: dict[str, Any]) -> Entity:
    declared = {name: {"description": name} | field for name, field in fields.items()}
    named = [{"name": f"rule{number}", "reason": "r", "fails": {}} | rule for number, rule in enumerate(rules)]
    content = {"entity": "thing", "label": "T", "domain": "d", "description": "d", "version": 1, "fields": declared, "row_rules": named}
    return Entity.model_validate(content)


@pytest.mark.spark
def test_all_reasons_of_a_row_are_told_and_nulls_pass(spark: Any) -> None:
    entity = entity_with(
        {"check": "one_of", "field": "kind", "values": ["a", "b"]},
        {"check": "length", "field": "kind", "values": [2, 3]},
        {"check": "between", "field": "amount", "values": [0, 10]},
        {"check": "not_in_future", "field": "seen"},
        {"check": "matches", "field": "kind", "pattern": "^[a-z]$"},
        kind={},
        amount={"type": "integer"},
        seen={"type": "timestamp"},
        label={"required": True},
    )
    wrong = {"kind": "C", "amount": 11, "seen": "2999-01-01T00:00:00Z", "label": " "}
    assert failing(spark, entity, wrong) == {"rule0", "rule1", "rule2", "rule3", "rule4", "label_is_present"}
    assert failing(spark, entity, {"label": "x"}) == set()


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"check": "matches", "field": "kind"}, r"pattern\n.*needs it"),
        ({"check": "between", "field": "kind", "values": [1]}, "needs two values"),
        ({"check": "any_present"}, r"fields\n.*needs it"),
        ({"check": "required"}, r"field\n.*needs it"),
    ],
)
def test_an_incomplete_rule_is_refused(rule: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        entity_with(rule, kind={})


def test_a_required_field_with_its_own_rule_is_not_judged_twice() -> None:
    assert [rule.name for rule in row_rules(load_entity("organization")) if rule.check == "required"] == ["has_a_name"]
