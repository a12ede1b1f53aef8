"""Row rules of an entity as Spark predicates: which rows may not pass, and every reason why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spine.core.entities import Entity, RowRule
from spine.quality.checks import VOCABULARY, Fields, Subject

if TYPE_CHECKING:
    from pyspark.sql import Column


def row_rules(entity: Entity) -> list[RowRule]:
    """The declared row rules, and one for each required field that has none."""
    declared = {rule.field for rule in entity.row_rules if rule.check == "required"}
    implied = [
        RowRule(name=f"{name}_is_present", check="required", field=name, reason=f"{name} is missing", fails={name: None})
        for name, field in entity.fields.items()
        if field.required and name not in declared
    ]
    return [*entity.row_rules, *implied]


def reasons(entity: Entity, fields: Fields) -> list[Column]:
    """For each row rule a struct (rule, field, reason) where the row fails it, else null. Raises ConfigError for an incomplete rule."""
    from pyspark.sql import functions as F

    columns = []
    for rule in row_rules(entity):
        named = rule.field or (rule.fields[0] if len(rule.fields) == 1 else None)
        field = F.lit(named) if named else F.lit(None).cast("string")
        told = F.struct(F.lit(rule.name).alias("rule"), field.alias("field"), F.lit(rule.reason).alias("reason"))
        columns.append(F.when(fails(rule, entity, fields), told))
    return columns


def fails(rule: RowRule, entity: Entity, fields: Fields) -> Column:
    """True where a row fails the rule; never null."""
    from pyspark.sql import functions as F

    check = VOCABULARY[rule.check]
    failed = check.fails(Subject(rule, entity, fields))
    if check.nulls:
        return failed
    return F.coalesce(failed, F.lit(False))
