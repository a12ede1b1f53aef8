"""Row rules of an entity as Spark predicates: which rows may not pass, and every reason why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from spine.core.entities import Entity, EntityField, RowRule
from spine.core.errors import ConfigError

if TYPE_CHECKING:
    from pyspark.sql import Column

Fields = Callable[[str], "Column"]
_TYPES = {"integer": "bigint", "decimal": "decimal(28,6)", "number": "double"}


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
    """True where a row fails the rule; never null. A null passes every check but `required` and `any_present`."""
    from pyspark.sql import functions as F

    if rule.check == "any_present":
        return _all_absent([fields(name) for name in _required(rule, rule.fields, "fields")])
    name = _required(rule, rule.field, "field")
    value, field = fields(name), entity.fields[name]
    if rule.check == "required":
        return _all_absent([value])
    failed = _CHECKS[rule.check](rule, value, field)
    return F.coalesce(failed, F.lit(False))


def _all_absent(values: Sequence[Column]) -> Column:
    from pyspark.sql import functions as F

    absent = [value.isNull() | (F.trim(value.cast("string")) == "") for value in values]
    result = absent[0]
    for one in absent[1:]:
        result = result & one
    return result


def _required(rule: RowRule, value: Any, what: str) -> Any:
    if not value:
        raise ConfigError(f"row rule {rule.name!r} ({rule.check}) has no {what}", hint=f"Give it {what!r} in the entity's file")
    return value


def _literal(value: Any, field: EntityField) -> Column:
    from pyspark.sql import functions as F

    word = repr(value) if isinstance(value, float) else str(value)
    return F.lit(word).cast(_TYPES.get(field.type, field.type))


def _matches(rule: RowRule, value: Column, _: EntityField) -> Column:
    return ~value.rlike(_required(rule, rule.pattern, "pattern"))


def _one_of(rule: RowRule, value: Column, field: EntityField) -> Column:
    return ~value.isin(*[_literal(allowed, field) for allowed in _required(rule, rule.values, "values")])


def _bounds(rule: RowRule) -> tuple[Any, Any]:
    values = _required(rule, rule.values, "values")
    if len(values) != 2:
        raise ConfigError(f"row rule {rule.name!r} ({rule.check}) needs two values, the least and the greatest")
    return values[0], values[1]


def _between(rule: RowRule, value: Column, field: EntityField) -> Column:
    least, greatest = _bounds(rule)
    return (value < _literal(least, field)) | (value > _literal(greatest, field))


def _length(rule: RowRule, value: Column, _: EntityField) -> Column:
    from pyspark.sql import functions as F

    least, greatest = _bounds(rule)
    return (F.length(value) < least) | (F.length(value) > greatest)


def _not_in_future(_: RowRule, value: Column, field: EntityField) -> Column:
    from pyspark.sql import functions as F

    return value > (F.current_date() if field.type == "date" else F.current_timestamp())


_CHECKS: dict[str, Callable[[RowRule, Column, EntityField], Column]] = {
    "matches": _matches,
    "one_of": _one_of,
    "between": _between,
    "length": _length,
    "not_in_future": _not_in_future,
}
