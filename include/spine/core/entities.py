"""The models of `include/entities/<entity>.yaml` (a canonical entity's fields, rules, matching and survivorship) and of match rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from spine.core import clock
from spine.core.choices import CHOSEN, BlockingRule, FixedWeights, StatedComparison, grouped, mistakes
from spine.core.choices import Kind as Kind
from spine.core.declarations import Place, Strict, load_declaration, located, refuse
from spine.core.errors import ConfigError
from spine.core.names import gold_table
from spine.core.settings import settings
from spine.core.texts import Pattern, Word, nearest
from spine.core.vocabulary import KnownWord, vocabulary

FieldType = Literal["string", "integer", "decimal", "boolean", "date", "timestamp"]


# Which part of a business an entity belongs to where its file does not say: revenue, finance, support and marketing operations.
_DOMAINS = {
    "revenue": ("account", "lead", "opportunity", "order", "product", "quote", "subscription"),
    "finance": ("bill", "cost", "expense", "invoice", "payment", "transaction"),
    "support": ("call", "conversation", "message", "ticket"),
    "marketing": (
        "ad",
        "audience",
        "campaign",
        "campaigns",
        "events",
        "email_campaign",
        "form",
        "keyword",
        "search",
        "session",
        "sessions",
        "video",
        "web_session",
    ),
}
_DOMAIN_OF = {entity: domain for domain, entities in _DOMAINS.items() for entity in entities}


class EntityField(Strict):
    """One canonical field. `since` is the schema version that brought it; older records get `default`.

    `refers_to` names matched entities whose record of the same source this is the id of: Gold then has the id of its golden record too.
    """

    type: FieldType = "string"
    description: str = Field(min_length=1)
    pii: Literal["none", "name", "contact", "address", "birth", "identifier"] = "none"
    required: bool = False
    default: Any = None
    since: int = 1
    refers_to: tuple[Word, ...] = ()

    @field_validator("refers_to", mode="before")
    @classmethod
    def _one_or_several(cls, data: Any) -> Any:
        return (data,) if isinstance(data, str) else data


@dataclass(frozen=True)
class Reference:
    """A column of Gold: the id of the golden record of `entity` that a field's value, a record id of the same source, belongs to."""

    column: str
    field: str
    entity: str


class RowRule(Strict):
    """A rule that one row passes or fails by a registered check; failing rows go to quarantine. `fails` is a row that must fail it.

    `field`, `fields`, `pattern` and `values` are what the check asks for.
    """

    name: str
    check: Annotated[str, KnownWord("check")]
    field: str | None = Field(default=None, description="The field that is checked")
    fields: tuple[str, ...] = Field(default=(), description="The fields that are checked together")
    pattern: Pattern | None = Field(default=None, description="A regular expression")
    values: tuple[Any, ...] = Field(default=(), description="The allowed values, or the least and the greatest one")
    reason: str
    fails: dict[str, Any]

    @model_validator(mode="after")
    def _fits_its_check(self) -> RowRule:
        check = vocabulary("check")[self.check]
        found = _words_of(self, ("field", "fields", "pattern", "values"), check.words, f"check {self.check!r}")
        if check.bounds and self.values and len(self.values) != 2:
            found.append((("values",), f"check {self.check!r} needs two values, the least and the greatest"))
        refuse(type(self), found)
        return self


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

    @model_validator(mode="after")
    def _can_fail(self) -> TableRule:
        found = _words_of(self, ("field",), vocabulary("metric")[self.metric].words, f"metric {self.metric!r}")
        if self.min is None and self.max is None:
            found.append(((), "has neither `min` nor `max`, so that it could not fail"))
        elif (self.min is None or self.fails >= self.min) and (self.max is None or self.fails <= self.max):
            found.append((("fails",), f"{self.fails:g} is between `min` and `max`, but has to be a value that fails"))
        if self.min is not None and self.max is not None and self.min > self.max:
            found.append((("min",), "is greater than `max`, so that every run would fail"))
        refuse(type(self), found)
        return self


def _words_of(rule: Strict, words: tuple[str, ...], needed: tuple[str, ...], reader: str) -> list[tuple[Place, str]]:
    """Words that a rule lacks, and those that it has and nothing reads."""
    found: list[tuple[Place, str]] = []
    for word in words:
        said = getattr(rule, word) not in (None, ())
        if word in needed and not said:
            found.append(((word,), f"{reader} needs it"))
        elif said and word not in needed:
            found.append(((word,), f"{reader} does not read it"))
    return found


class Survivorship(Strict):
    """How a golden value is chosen: `strategy` first, then the most trusted source, then the most recent, then the smallest value."""

    strategy: Literal["most_recent", "most_trusted", "most_complete", "longest", "most_frequent"] = "most_recent"
    trust: tuple[str, ...] = ()


class Matching(Strict):
    """Identity rules: the kind of each attribute is enough, everything else the engine chooses from kinds and data unless it is stated.

    `threshold` is the least probability of a match, `IDENTITY_MATCH_THRESHOLD` (0.85) if it is not given.
    `blocking` and `never` replace what the engine would choose, unless they list `chosen` too; `comparisons` and `weights` replace it
    attribute by attribute. `same` lists attributes whose agreement makes a match (at least 0.99) that only a never rule can prevent,
    `never` those whose known and different values exclude one. `prior` is the chance that two random records match; `budget` the
    number of pairs per record that each blocking rule may make.
    """

    link: Literal["within_and_across", "across_sources"] = "within_and_across"
    attributes: dict[str, Kind]
    threshold: float = Field(default_factory=lambda: settings().match_threshold, ge=0.5, le=1.0)
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
        refuse(type(self), mistakes(self))
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
    """One canonical entity. Its Gold table is `gold_<domain>_<plural>`.

    `domain` is the part of a business that it belongs to (known for usual ones, else needed); without `plural` the table has the entity's
    own name.
    """

    entity: Word
    label: str
    domain: Word = ""
    plural: Word = ""
    description: str
    version: int = Field(ge=1)
    fields: dict[str, EntityField] = Field(min_length=1)
    row_rules: tuple[RowRule, ...] = ()
    table_rules: tuple[TableRule, ...] = ()
    matching: Matching | None = None
    survivorship: dict[str, Survivorship] = Field(default_factory=dict)
    trust: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _named(cls, data: Any) -> Any:
        if not isinstance(data, dict) or not isinstance(data.get("entity"), str):
            return data
        usual = {"domain": _DOMAIN_OF.get(data["entity"]), "plural": data["entity"]}
        return {word: value for word, value in usual.items() if value is not None} | data

    @model_validator(mode="after")
    def _parts_fit(self) -> Entity:
        refuse(type(self), [*self._unnamed(), *self._unknown_fields(), *self._unfit_fields(), *self._unfit_rules()])
        return self

    @property
    def gold_table(self) -> str:
        """Name of its table in Gold."""
        return gold_table(self.domain, self.plural)

    @property
    def references(self) -> tuple[Reference, ...]:
        """Columns of Gold for golden records that fields refer to: `account_ref` of an organization makes `account_organization_id`."""
        found = []
        for name, field in self.fields.items():
            stem = name.removesuffix("_ref").removesuffix("_id")
            for other in field.refers_to:
                found.append(Reference(f"{other}_id" if stem == other else f"{stem}_{other}_id", name, other))
        return tuple(found)

    def _unnamed(self) -> Iterator[tuple[Place, str]]:
        if not self.domain:
            yield ("domain",), f"is needed: one of {', '.join(_DOMAINS)}, or another word"
        if self.matching is not None and self.references:
            yield ("fields", self.references[0].field, "refers_to"), "is for entities without a matching block"
        taken = set(self.fields)
        for reference in self.references:
            if reference.column in taken:
                place = ("fields", reference.field, "refers_to")
                yield place, f"Gold would have two columns {reference.column!r}"
            taken.add(reference.column)

    def _unknown_fields(self) -> Iterator[tuple[Place, str]]:
        """Where a field is named that the entity does not have."""
        used: list[tuple[Place, str]] = []
        for number, rule in enumerate(self.row_rules):
            used += [(("row_rules", number, "field"), rule.field)] if rule.field else []
            used += [(("row_rules", number, "fields", at), name) for at, name in enumerate(rule.fields)]
            used += [(("row_rules", number, "fails", name), name) for name in rule.fails]
        used += [(("table_rules", number, "field"), rule.field) for number, rule in enumerate(self.table_rules) if rule.field]
        used += [(("survivorship", name), name) for name in self.survivorship]
        used += [(("matching", "attributes", name), name) for name in (self.matching.attributes if self.matching else ())]
        for place, name in used:
            if name not in self.fields:
                yield place, f"{name!r} is no field of the entity{nearest(name, self.fields)}"

    def _unfit_fields(self) -> Iterator[tuple[Place, str]]:
        for name, field in self.fields.items():
            if field.since > self.version:
                yield ("fields", name, "since"), f"is newer than the entity's version {self.version}"
            if field.default is not None and _parsed(field.type, field.default) is None:
                yield ("fields", name, "default"), f"{field.default!r} is no {field.type}"

    def _unfit_rules(self) -> Iterator[tuple[Place, str]]:
        names = [*(rule.name for rule in self.row_rules), *(rule.name for rule in self.table_rules)]
        for at, rule in enumerate(self.row_rules):
            if rule.name in names[:at]:
                yield ("row_rules", at, "name"), f"another rule is named {rule.name!r} too"
            field, check = self.fields.get(rule.field or ""), vocabulary("check")[rule.check]
            if field is None:
                continue
            if check.types and field.type not in check.types:
                yield (
                    ("row_rules", at, "field"),
                    f"{rule.field!r} is a {field.type}; check {rule.check!r} is for {' and '.join(check.types)}",
                )
            expected = "integer" if rule.check == "length" else field.type
            values = [_parsed(expected, value) for value in rule.values]
            for place, value in enumerate(values):
                if value is None:
                    yield ("row_rules", at, "values", place), f"{rule.values[place]!r} is no {expected}"
            if check.bounds and None not in values and values[0] > values[1]:
                yield ("row_rules", at, "values"), "the first value is greater than the second, so that every row would fail"
        for at, table_rule in enumerate(self.table_rules):
            if table_rule.name in names[: len(self.row_rules) + at]:
                yield ("table_rules", at, "name"), f"another rule is named {table_rule.name!r} too"

    def upgrade(self, row: dict[str, Any], from_version: int) -> dict[str, Any]:
        """`row` of an older version with the defaults of all fields that came later."""
        newer = {name: field.default for name, field in self.fields.items() if field.since > from_version}
        return {**newer, **row}


def _parsed(kind: str, value: Any) -> Any:
    """A value of a file as that type, None if it cannot be one."""
    text = str(value).strip()
    parsers: dict[str, Callable[[str], Any]] = {
        "integer": int,
        "decimal": Decimal,
        "boolean": {"true": True, "false": False}.get,
        "date": lambda day: date.fromisoformat(day[:10]),
        "timestamp": clock.parse,
    }
    try:
        return parsers.get(kind, str)(text.lower() if kind == "boolean" else text)
    except (ValueError, InvalidOperation, ConfigError):
        return None


@lru_cache(maxsize=256)
def _load(path: Path, _modified: int) -> Entity:
    entity = load_declaration(path, Entity)
    if entity.entity != path.stem:
        why = f"is {entity.entity!r}, but the file is named {path.stem!r}"
        raise ConfigError.of(located(path, [(("entity",), why)]))
    return entity


def load_entity(name: str, folder: Path | None = None) -> Entity:
    """The entity declared in `<folder>/<name>.yaml`. Raises ConfigError with file, line and field."""
    path = (folder or settings().entities) / f"{name}.yaml"
    if not path.is_file():
        raise ConfigError(f"no entity {name!r}", hint=f"Declare it in {path}")
    return _load(path, path.stat().st_mtime_ns)
