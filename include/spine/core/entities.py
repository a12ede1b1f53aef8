"""The model of `include/entities/<entity>.yaml`: a canonical entity's fields, rules, matching and survivorship."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from spine.core.declarations import load_declaration
from spine.core.errors import ConfigError
from spine.core.settings import settings

FieldType = Literal["string", "integer", "decimal", "boolean", "date", "timestamp"]
RuleCheck = Literal["required", "matches", "one_of", "between", "length", "not_in_future", "any_present"]
Kind = Literal[
    "forename", "surname", "full_name", "organization", "date", "email", "phone", "street", "house_number", "city",
    "postcode", "region", "country", "national_id", "url", "text", "title", "category", "number", "ignore",
]  # fmt: skip


class Strict(BaseModel):
    """A declaration in which an unknown key is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class EntityField(Strict):
    """One canonical field. `since` is the schema version that brought it; older records get `default`."""

    type: FieldType = "string"
    description: str = Field(min_length=1)
    pii: Literal["none", "name", "contact", "address", "birth", "identifier"] = "none"
    required: bool = False
    default: Any = None
    since: int = 1


class RowRule(Strict):
    """A rule that one row passes or fails; failing rows go to quarantine. `fails` is a row that must fail it.

    `one_of` and `between` take `values`; `matches` takes `pattern` (a Java and Python regular expression); `any_present` takes `fields`.
    A null passes every check but `required` and `any_present`.
    """

    name: str
    check: RuleCheck
    field: str | None = None
    fields: tuple[str, ...] = ()
    pattern: str | None = None
    values: tuple[Any, ...] = ()
    reason: str
    fails: dict[str, Any]


class TableRule(Strict):
    """A rule on the whole staged frame, judged by Great Expectations on its profile; a failure stops the run.

    Metrics: `row_count_ratio` (rows against the median of past runs), `null_share` and `distinct_share` of a field, `quarantined_share`,
    `duplicate_keys`, `freshness_hours` (age of the newest record). A run with less than `min_rows` rows is too small to be judged by the
    rule. `fails` is a profile value that must fail it.
    """

    name: str
    metric: Literal["row_count_ratio", "null_share", "distinct_share", "quarantined_share", "duplicate_keys", "freshness_hours"]
    field: str | None = None
    min: float | None = None
    max: float | None = None
    min_rows: int = Field(default=0, ge=0)
    severity: Literal["error", "warning"] = "error"
    fails: float


class Survivorship(Strict):
    """How a golden value is chosen: `strategy` first, then the most trusted source, then the most recent, then the smallest value."""

    strategy: Literal["most_recent", "most_trusted", "most_complete", "longest", "most_frequent"] = "most_recent"
    trust: tuple[str, ...] = ()


class Matching(Strict):
    """Identity rules: the kind of each attribute is enough, everything else the engine chooses from kinds and data."""

    link: Literal["within_and_across", "across_sources"] = "within_and_across"
    attributes: dict[str, Kind]
    threshold: float = Field(default=0.85, ge=0.5, le=1.0)


class Entity(Strict):
    """One canonical entity. `domain` is the middle of its Gold table's name."""

    entity: str
    label: str
    domain: str
    description: str
    version: int = Field(ge=1)
    fields: dict[str, EntityField] = Field(min_length=1)
    row_rules: tuple[RowRule, ...] = ()
    table_rules: tuple[TableRule, ...] = ()
    matching: Matching | None = None
    survivorship: dict[str, Survivorship] = Field(default_factory=dict)
    trust: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _names_exist(self) -> Entity:
        used = {rule.field for rule in self.row_rules if rule.field} | {rule.field for rule in self.table_rules if rule.field}
        used |= {name for rule in self.row_rules for name in rule.fields} | set(self.survivorship)
        used |= set(self.matching.attributes) if self.matching else set()
        unknown = sorted(used - set(self.fields))
        if unknown:
            raise ValueError(f"unknown fields {unknown}; the entity has {sorted(self.fields)}")
        if any(field.since > self.version for field in self.fields.values()):
            raise ValueError(f"a field is newer than the entity's version {self.version}")
        return self

    def upgrade(self, row: dict[str, Any], from_version: int) -> dict[str, Any]:
        """`row` of an older version with the defaults of all fields that came later (MAP-02)."""
        newer = {name: field.default for name, field in self.fields.items() if field.since > from_version}
        return {**newer, **row}


@lru_cache(maxsize=256)
def _load(path: Path, _modified: int) -> Entity:
    entity = load_declaration(path, Entity)
    if entity.entity != path.stem:
        raise ConfigError(f"{path}:1: entity: is {entity.entity!r}, but the file is named {path.stem!r}", file=str(path))
    return entity


def load_entity(name: str, folder: Path | None = None) -> Entity:
    """The entity declared in `<folder>/<name>.yaml`. Raises ConfigError with file, line and field."""
    path = (folder or settings().entities) / f"{name}.yaml"
    if not path.is_file():
        raise ConfigError(f"no entity {name!r}", hint=f"Declare it in {path}")
    return _load(path, path.stat().st_mtime_ns)
