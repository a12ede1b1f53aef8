"""Streams without an entity: each field of their records has a column, whose type is what all its values fit without loss.

A value is of one of few `atoms`; atoms of a column give its type, and atoms that have none in common make it a text. What is nested stays
JSON. Fields beyond MOST_COLUMNS are kept in `custom_fields`, since a source may use names as values.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from spine.core.entities import Entity, EntityField
from spine.lake.flat import EXACT, FlatColumn
from spine.lake.silver import HISTORY, KEY, TAIL
from spine.normalize.payload import ENTRIES, step, without_nul

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

MOST_COLUMNS = 500
_RESERVED = frozenset({*KEY, *TAIL, *HISTORY, "bare", "removed", "swapped"})
_LONGEST_NAME = 100
_WHOLE = r"^-?\d+$"
_UTC = r"^(?!0000)\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(\.\d{1,6})?(Z|\+00:?00)$"
_DAY = r"^(?!0000)\d{4}-\d{2}-\d{2}$"
# What the values in a column of that type are, as far as the type tells.
_ATOMS: dict[str, frozenset[str]] = {
    "boolean": frozenset({"boolean"}), "integer": frozenset({"integer"}), "double": frozenset({"number"}),
    "date": frozenset({"date"}), "timestamp": frozenset({"timestamp"}), "string": frozenset({"text"}),
}  # fmt: skip

# `double` is no type of entities, whose numbers are exact.
_FIELDS = {kind: EntityField(description="as the source sends it").model_copy(update={"type": kind}) for kind in _ATOMS}


def type_of(atoms: Iterable[str]) -> str:
    """The narrowest type that holds all of these: `integer` and `long` are whole numbers up to and beyond what a double holds exactly."""
    found = frozenset(atoms)
    for kind, fits in (
        ("boolean", {"boolean"}), ("integer", {"integer", "long"}), ("double", {"integer", "number"}),
        ("date", {"date"}), ("timestamp", {"timestamp"}),
    ):  # fmt: skip
        if found and found <= fits:
            return kind
    return "string"


def atoms_of(column: FlatColumn, *, beyond_exact: bool = False) -> frozenset[str]:
    """What is in a column that is there already; `beyond_exact` tells that whole numbers are in it which a double does not hold."""
    if column.unknown:
        return frozenset()
    return _ATOMS[column.type] | ({"long"} if beyond_exact else frozenset())


def columns_for(known: Sequence[FlatColumn], seen: Mapping[str, frozenset[str]], beyond: Iterable[str] = ()) -> list[FlatColumn]:
    """The columns of a table that has those of `known` and gets rows with fields of the atoms `seen`; those in `beyond_exact` as above."""
    wide = frozenset(beyond)
    found: list[FlatColumn] = []
    for column in known:
        atoms = atoms_of(column, beyond_exact=column.name in wide) | seen.get(column.path, frozenset())
        found.append(FlatColumn(column.name, column.path, type_of(atoms), not atoms))
    paths, taken = {column.path for column in known}, {column.name.lower() for column in known}
    for path in sorted(set(seen) - paths, key=lambda path: (column_name(path) != path, path)):
        if len(found) >= MOST_COLUMNS or step(path) is None:
            continue  # it is kept in `custom_fields`
        name = _free(column_name(path), taken)
        taken.add(name.lower())
        found.append(FlatColumn(name, path, type_of(seen[path]), not seen[path]))
    return found


def column_name(path: str) -> str:
    """A field's name as a column's: what no engine quotes, and none of our own names (`updated_at` is when we wrote the row)."""
    name = re.sub(r"[^A-Za-z0-9_]", "_", path)[:_LONGEST_NAME] or "_"
    name = f"_{name}" if name[0].isdigit() else name
    return f"{name}_" if name.lower() in _RESERVED else name


def _free(name: str, taken: set[str]) -> str:
    """The name, numbered where another one has it already: engines take no notice of upper and lower case."""
    number, free = 2, name
    while free.lower() in taken:
        number, free = number + 1, f"{name}_{number}"
    return free


def entity_of(stream: str, label: str, domain: str, columns: Sequence[FlatColumn]) -> Entity:
    """A stream's rows as an entity without rules, so that they go the way of all others."""
    fields = {column.name: _FIELDS[column.type] for column in columns}
    return Entity.model_construct(entity=stream, label=label, domain=domain, description="", version=1, fields=fields)


def atoms_in(rows: DataFrame) -> dict[str, frozenset[str]]:
    """By field: the atoms of its values in Bronze rows that can be read; none for fields that are always null. The most frequent first."""
    from pyspark.sql import functions as F

    entries = F.try_variant_get(F.try_parse_json("payload"), "$", ENTRIES)
    error = F.try_variant_get(F.try_parse_json("payload"), "$._error", "string")
    cells = rows.where(error.isNull()).select(F.explode(entries).alias("name", "value"))
    typed = cells.select("name", _atom(F.to_json("value"), F.try_variant_get("value", "$", "string")).alias("atom"))
    found = typed.groupBy("name").agg(F.collect_set("atom").alias("atoms"), F.count(F.lit(1)).alias("rows"))
    return {row["name"]: frozenset(row["atoms"]) for row in found.orderBy(F.desc("rows"), "name").limit(4 * MOST_COLUMNS).collect()}


def _atom(json: Column, text: Column) -> Column:
    from pyspark.sql import functions as F

    first = F.substring(json, 1, 1)
    whole = json.try_cast("bigint")
    return (
        F.when(json.isNull() | (json == "null"), F.lit(None))
        .when(first == '"', F.when(text.rlike(_UTC) & text.try_cast("timestamp").isNotNull(), "timestamp")
              .when(text.rlike(_DAY) & text.try_cast("date").isNotNull(), "date").otherwise("text"))
        .when(first.isin("{", "["), "text")
        .when(first.isin("t", "f"), "boolean")
        .when(json.rlike(_WHOLE), F.when(whole.isNull(), "text").when(whole.between(-EXACT, EXACT), "integer").otherwise("long"))
        .otherwise(F.when(_exact(json), "number").otherwise("text"))
    )  # fmt: skip


def _exact(json: Column) -> Column:
    """Whether a double holds a decimal number so that it is written the same again: 15 digits always, 17 where it comes back as it was."""
    from pyspark.sql import functions as F

    digits = F.length(F.regexp_replace(F.regexp_replace(json, r"[eE].*$|[-.]", ""), "^0+|0+$", ""))
    value = json.try_cast("double")

    def back(scale: int) -> Column:
        return value.cast("string").try_cast(f"decimal(38,{scale})") == json.try_cast(f"decimal(38,{scale})")

    same = F.when(F.abs(value) < 1, back(37)).otherwise(back(18))
    return F.coalesce((digits <= 15) | ((digits <= 17) & same), F.lit(False)) | json.rlike("[eE]")


def values_of(columns: Sequence[FlatColumn]) -> dict[str, Column]:
    """Each column's value in `document`, as its type; what is nested as JSON."""
    from pyspark.sql import functions as F

    found = {}
    for column in columns:
        text = F.try_variant_get("document", f"${step(column.path)}", "string")
        kinds = {"string": without_nul(text), "integer": text.try_cast("bigint")}
        found[column.name] = kinds.get(column.type, text.try_cast(column.type))
    return found


def others_of(columns: Sequence[FlatColumn]) -> Column:
    """JSON object of the fields that have no column."""
    from pyspark.sql import functions as F

    entries = F.try_variant_get("document", "$", ENTRIES)
    paths = [column.path for column in columns]
    return F.to_json(F.map_filter(entries, lambda name, _: ~name.isin(*paths)) if paths else entries)
