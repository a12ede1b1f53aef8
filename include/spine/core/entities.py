"""The models of `include/entities/<entity>.yaml` (a canonical entity's fields, rules, matching and survivorship) and of match rules."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from spine.core.choices import CHOSEN, BlockingRule, FixedWeights, StatedComparison, grouped, mistakes
from spine.core.choices import Kind as Kind
from spine.core.declarations import Strict, load_declaration
from spine.core.errors import ConfigError
from spine.core.settings import settings
from spine.core.vocabulary import KnownWord

FieldType = Literal["string", "integer", "decimal", "boolean", "date", "timestamp"]


class EntityField(Strict):
    """One canonical field. `since` is the schema version that brought it; older records get `default`."""

    type: FieldType = "string"
    description: str = Field(min_length=1)
    pii: Literal["none", "name", "contact", "address", "birth", "identifier"] = "none"
    required: bool = False
    default: Any = None
    since: int = 1


class RowRule(Strict):
    """A rule that one row passes or fails by a registered check; failing rows go to quarantine. `fails` is a row that must fail it.

    `field`, `fields`, `pattern` and `values` are what the check asks for.
    """

    name: str
    check: Annotated[str, KnownWord("check")]
    field: str | None = Field(default=None, description="The field that is checked")
    fields: tuple[str, ...] = Field(default=(), description="The fields that are checked together")
    pattern: str | None = Field(default=None, description="A regular expression")
    values: tuple[Any, ...] = Field(default=(), description="The allowed values, or the least and the greatest one")
    reason: str
    fails: dict[str, Any]


class TableRule(Strict):
    """A rule on the whole staged frame: a registered metric of its profile between `min` and `max`; a failure stops the run.

    Great Expectations judges. A run with less than `min_rows` rows is too small for the rule. `fails` is a value that must fail it.
    """

    name: str
    metric: Annotated[str, KnownWord("metric")]
    field: str | None = Field(default=None, description="The field that is measured")
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
    """Identity rules: the kind of each attribute is enough, everything else the engine chooses from kinds and data unless it is stated.

    `blocking` and `never` replace what the engine would choose, unless they list `chosen` too; `comparisons` and `weights` replace it
    attribute by attribute. `same` lists attributes whose agreement makes a match (at least 0.99) that only a never rule can prevent,
    `never` those whose known and different values exclude one. `prior` is the chance that two random records match; `budget` the
    number of pairs per record that each blocking rule may make.
    """

    link: Literal["within_and_across", "across_sources"] = "within_and_across"
    attributes: dict[str, Kind]
    threshold: float = Field(default=0.85, ge=0.5, le=1.0)
    blocking: tuple[BlockingRule, ...] | None = Field(default=None, min_length=1)
    comparisons: dict[str, StatedComparison] = Field(default_factory=dict)
    weights: dict[str, FixedWeights] = Field(default_factory=dict)
    prior: float | None = Field(default=None, gt=0.0, lt=1.0)
    same: tuple[tuple[str, ...], ...] = ()
    never: tuple[tuple[str, ...], ...] | None = None
    budget: int | None = Field(default=None, ge=1)

    @field_validator("same", "never", mode="before")
    @classmethod
    def _grouped(cls, data: Any) -> Any:
        return grouped(data)

    @model_validator(mode="after")
    def _choices_fit(self) -> Matching:
        found = mistakes(self)
        if found:
            details = [InitErrorDetails(type=PydanticCustomError("choice", "{why}", {"why": why}), loc=at, input=None) for at, why in found]
            raise ValidationError.from_exception_data(type(self).__name__, details)
        return self

    @property
    def keeps_chosen_never(self) -> bool:
        """Whether the engine's own never rules (birth dates, identifiers) hold."""
        return self.never is None or (CHOSEN,) in self.never


class MatchRules(Matching):
    """The file of `spine match`: a matching block with the names of the columns that tell records and sources apart."""

    entity: str
    record_id: str
    source: str | None = None
    survivorship: dict[str, Survivorship] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _columns_fit(self) -> MatchRules:
        if unknown := sorted(set(self.survivorship) - set(self.attributes)):
            raise ValueError(f"survivorship of unknown attributes {unknown} (known: {', '.join(self.attributes)})")
        if self.link == "across_sources" and self.source is None:
            raise ValueError("link across_sources needs `source`, the column that tells where a record is from")
        return self

    def matching(self) -> Matching:
        """The rules without the names of file and columns."""
        return Matching.model_construct(**{name: getattr(self, name) for name in Matching.model_fields})


def load_match_rules(path: Path) -> MatchRules:
    """The match rules of a YAML file. Raises ConfigError with file, line and field of each mistake."""
    return load_declaration(path, MatchRules)


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
        """`row` of an older version with the defaults of all fields that came later."""
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
