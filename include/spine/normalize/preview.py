"""The first rows of a stream as they would stand in Silver, for a dry run. Payloads in, rows out; no table is read or written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from spine.core.entities import Entity
from spine.core.mapping import Mapping
from spine.core.settings import settings
from spine.normalize.compile import compile_mapping, typed_values, with_texts

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def mapped_rows(spark: SparkSession, payloads: Sequence[str], mapping: Mapping, entity: Entity) -> list[dict[str, Any]]:
    """The mapped fields of each payload, in their order; a mapping that splits an array gives a row per element, within the bound."""
    from pyspark.sql import functions as F

    if not payloads:
        return []
    rows = spark.createDataFrame(list(enumerate(payloads)), "place int, payload string").withColumn("document", F.try_parse_json("payload"))
    if mapping.split is not None:
        elements = F.try_variant_get("document", f"$['{mapping.split}']", "array<variant>")
        within = F.slice(elements, 1, settings().bounds.elements)
        rows = rows.select("place", "document", F.explode(within).alias("part"))
    reading = compile_mapping(mapping)
    fields = typed_values(entity, mapping, lambda name: reading.texts[name])
    values = F.struct(*[value.alias(name) for name, value in fields.items()])
    found = with_texts(rows, mapping).where(reading.kept).select("place", values.alias("fields")).orderBy("place").collect()
    return [{name: row["fields"][name] for name in entity.fields if name in mapping.fields} for row in found]
