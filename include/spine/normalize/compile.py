"""A mapping and an entity, compiled to Spark columns: canonical texts, typed values, and every reason why a value cannot be one.

Order of steps for a field: source (first present one, or joined), lookup, script, transform, default; then the cast to its type.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spine.core.entities import Entity, EntityField
from spine.core.mapping import FieldMapping, Mapping, RowFilter
from spine.normalize.payload import short_number, text_at, trimmed, unless_blank, unmapped
from spine.normalize.scripts import FAILED, apply_script
from spine.normalize.transforms import apply_transform

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

SPARK_TYPES = {
    "string": "string", "integer": "bigint", "decimal": "decimal(28,6)", "boolean": "boolean", "date": "date", "timestamp": "timestamp",
}  # fmt: skip
REASON_TYPE = "struct<rule:string,field:string,reason:string>"
NOT_OF_TYPE = {
    "integer": "is not a whole number", "decimal": "is not a decimal number", "boolean": "is neither true nor false",
    "date": "is not a date", "timestamp": "is not a time",
}  # fmt: skip
# Spark's casts also read `2026` as the first of January and a bare hour as a time of today: only whole dates count here.
_DATE_START = r"^\d{4}-\d{1,2}-\d{1,2}($|[T ])"


@dataclass(frozen=True)
class Reading:
    """How one stream's payload is read: text of each mapped field, whether any is present, the unmapped rest, the filters."""

    texts: dict[str, Column]
    present: Column
    custom_fields: Column
    kept: Column


def with_texts(rows: DataFrame, mapping: Mapping) -> DataFrame:
    """Rows with `document` (payload as variant) and `part` (one element of the array that is split), and the text at each path.

    Texts are columns of their own, since Spark would take one from its document anew wherever an expression uses it.
    Raises ConfigError for a name that no path can hold.
    """
    from pyspark.sql import functions as F

    def found(path: str) -> Column:
        if mapping.split and path.startswith(f"{mapping.split}."):
            return text_at(F.col("part"), path.removeprefix(f"{mapping.split}."))
        return text_at(F.col("document"), path)

    return rows.select("*", *[found(path).alias(name) for path, name in _columns(mapping).items()])


def _columns(mapping: Mapping) -> dict[str, str]:
    """Column by path, of all paths that a mapping reads."""
    paths = {path for field in mapping.fields.values() for path in field.source} | {rule.field for rule in mapping.filters}
    return {path: f"at_{place}" for place, path in enumerate(sorted(paths))}


def compile_mapping(mapping: Mapping) -> Reading:
    """The columns of a mapping over rows of `with_texts`. Raises ConfigError for a script that nobody registered."""
    from pyspark.sql import functions as F

    columns = _columns(mapping)

    def source(path: str) -> Column:
        return unless_blank(F.col(columns[path]))

    country = _text(mapping.fields["country"], source, F.lit(None)) if "country" in mapping.fields else F.lit(None).cast("string")
    texts = {name: _text(field, source, country) for name, field in mapping.fields.items()}
    paths = sorted({path for field in mapping.fields.values() for path in field.source})
    present = F.coalesce(*[source(path) for path in paths], F.lit(None).cast("string")).isNotNull()
    kept = F.lit(True)
    for rule in mapping.filters:
        kept = kept & _passes(rule, source(rule.field))
    return Reading(texts, present, _custom_fields(mapping), kept)


def _text(field: FieldMapping, source: Any, country: Column) -> Column:
    from pyspark.sql import functions as F

    found = [source(path) for path in field.source]
    if field.join is not None:
        text = F.nullif(F.concat_ws(field.join, *found), F.lit(""))
    else:
        text = F.coalesce(*found) if found else F.lit(None).cast("string")
    if field.lookup:
        table = F.create_map(*[F.lit(word) for pair in field.lookup.items() for word in pair])
        text = F.coalesce(F.try_element_at(table, text), text)
    if field.script:
        scripted = apply_script(field.script, text)
        text = F.when(scripted == FAILED, scripted).otherwise(apply_transform(field.transform, scripted, country))
    else:
        text = apply_transform(field.transform, text, country)
    return text if field.default is None else F.coalesce(text, F.lit(_word(field.default)))


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _passes(rule: RowFilter, text: Column) -> Column:
    from pyspark.sql import functions as F

    present = F.coalesce(text, F.lit(""))
    passed = present.isin(*rule.one_of) if rule.one_of else F.lit(True)
    return passed & ~present.isin(*rule.none_of) if rule.none_of else passed


def _custom_fields(mapping: Mapping) -> Column:
    from pyspark.sql import functions as F

    document, part = F.col("document"), F.col("part")
    paths = [path for field in mapping.fields.values() for path in field.source]
    if mapping.split is None:
        return unmapped(document, paths)
    below = f"{mapping.split}."
    whole = unmapped(document, [path for path in paths if not path.startswith(below)] + [mapping.split])
    rest = unmapped(part, [path.removeprefix(below) for path in paths if path.startswith(below)])
    joined = F.map_concat(
        F.try_variant_get(F.try_parse_json(whole), "$", "map<string,variant>"),
        F.create_map(F.lit(mapping.split), F.coalesce(F.try_parse_json(rest), part)),
    )
    return F.to_json(joined)


def cast(text: Column, field: EntityField) -> Column:
    """The text as the field's type, null where it cannot be one."""
    from pyspark.sql import functions as F

    if field.type == "string":
        return text
    plain = trimmed(text)
    number = short_number(plain) if field.type == "decimal" else plain
    value = number.try_cast(SPARK_TYPES[field.type])
    return F.when(plain.rlike(_DATE_START), value) if field.type in ("date", "timestamp") else value


def typed_values(entity: Entity, mapping: Mapping, text: Any) -> dict[str, Column]:
    """All fields of the entity, in its order; `text` gives the column of a mapped field's text.

    A field that came after the mapping's `entity_version` and is not mapped gets its default, as `Entity.upgrade` does.
    """
    from pyspark.sql import functions as F

    version = mapping.entity_version or entity.version
    columns = {}
    for name, field in entity.fields.items():
        if name in mapping.fields:
            value = cast(text(name), field)
        elif field.since > version and field.default is not None:
            value = F.lit(_word(field.default)).cast(SPARK_TYPES[field.type])
        else:
            value = F.lit(None).cast(SPARK_TYPES[field.type])
        columns[name] = value
    return columns


def cast_problems(entity: Entity, mapping: Mapping, text: Any, value: Any) -> list[Column]:
    """For each mapped field a reason, or null: a present `text` whose typed `value` is none, or at which a script failed."""
    from pyspark.sql import functions as F

    problems = []
    for name, field in entity.fields.items():
        if name in mapping.fields and (script := mapping.fields[name].script):
            problems.append(F.when(text(name) == FAILED, reason("script", name, f"the script {script} failed at the value")))
        if name in mapping.fields and field.type != "string":
            lost = text(name).isNotNull() & value(name).isNull()
            problems.append(F.when(lost, reason("type", name, f"{name} {NOT_OF_TYPE[field.type]}")))
    return problems


def reason(rule: str, field: str | None, text: str) -> Column:
    """One reason as a struct column."""
    from pyspark.sql import functions as F

    name = F.lit(field) if field else F.lit(None).cast("string")
    return F.struct(F.lit(rule).alias("rule"), name.alias("field"), F.lit(text).alias("reason"))
