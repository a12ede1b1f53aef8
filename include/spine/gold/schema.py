"""Tables and views of PostgreSQL's schema `gold`, made from the entity declarations; says what is what to whoever reads it.

Tables carry the Delta tables' names without `gold_`; analysts read the views (`gold.person`, `gold.person_sources`, …). Rows are
kept apart by row-level security on the tables, and views run with their reader's rights (`security_invoker`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from spine.core.entities import Entity

DECIMAL = pa.decimal128(38, 6)
TIMESTAMP = pa.timestamp("us", "UTC")
_ARROW: dict[str, pa.DataType] = {
    "string": pa.string(),
    "integer": pa.int64(),
    "decimal": DECIMAL,
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "timestamp": TIMESTAMP,
    "double": pa.float64(),
    "json": pa.string(),
    "bytes": pa.binary(),
}
_SQL = {
    "string": "text",
    "integer": "bigint",
    "decimal": "numeric",
    "boolean": "boolean",
    "date": "date",
    "timestamp": "timestamp with time zone",
    "double": "double precision",
    "json": "jsonb",
    "bytes": "bytea",
}
CHANGE_KINDS = "created, joined, left, merged, split, retired, conflict, restored; linked, unlinked, undone and the like by a steward"
DECISIONS = "accepted (joined), review (a person should look), conflict (excludes another), rejected"


@dataclass(frozen=True)
class Column:
    """A column of a published table: its name, our type word, and what it means."""

    name: str
    type: str
    comment: str

    @property
    def sql(self) -> str:
        """PostgreSQL's type."""
        return _SQL[self.type]


@dataclass(frozen=True)
class Table:
    """A published table: `delta` is where its rows come from; `shared` ones hold every entity, told apart by column `entity`.

    `by_entity` ones are read by `entity_id` too, where they have it.
    """

    delta: str
    comment: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    shared: bool = True
    required: bool = False
    by_entity: bool = True

    @property
    def name(self) -> str:
        """Name in schema gold."""
        return self.delta.removeprefix("gold_")

    @property
    def schema(self) -> pa.Schema:
        """The rows as Arrow sends them; JSON travels as text."""
        return pa.schema([pa.field(column.name, _ARROW[column.type]) for column in self.columns])


@dataclass(frozen=True)
class View:
    """A view for analysts. `columns` are (name, expression over `t`, meaning); `where` narrows the table's rows.

    `unnest` names a column with a JSON array: then there is a row per element, which expressions call `e.step`, and its number `e.place`.
    """

    name: str
    table: str
    comment: str
    columns: tuple[tuple[str, str, str], ...]
    where: str = "true"
    unnest: str = ""


@dataclass(frozen=True)
class Shape:
    """Everything that one entity needs in schema gold."""

    entity: str
    tables: tuple[Table, ...]
    views: tuple[View, ...] = field(default=())
    matched: bool = True

    @property
    def every(self) -> tuple[Table, ...]:
        """Its tables, those of publications, and of a matched entity those that lookups read."""
        return (*self.tables, PUBLICATIONS, *(LOOKUP if self.matched else ()))

    @property
    def fingerprint(self) -> str:
        """Changes whenever tables, views or comments do, so that a new field makes a new publication."""
        return hashlib.sha256(repr((self.tables, self.views, LOOKUP if self.matched else ())).encode()).hexdigest()[:16]


TENANT = Column("tenant_id", "string", "Tenant that the row belongs to")
_ENTITY = Column("entity", "string", "Kind of entity: person or organization")
_RUN = Column("run_id", "string", "Run that wrote the row last")
_REF = Column("record_ref", "string", "Reference of the source record: source:stream:record id")

_GOLDEN_BEFORE = (TENANT, Column("entity_id", "string", "Stable id of the golden record; never used again for another"))
_GOLDEN_AFTER = (
    Column("record_count", "integer", "Source records behind this golden record"),
    Column("source_count", "integer", "Source systems behind this golden record"),
    Column("confidence", "double", "Probability of the weakest link that holds the records together; 1 for a single record"),
    Column("provenance", "json", "For each field: the source record its value was taken from, and by which strategy"),
    Column("schema_version", "integer", "Version of the entity's declaration"),
    Column("first_seen_at", "timestamp", "When the golden record came into being"),
    Column("updated_at", "timestamp", "When a value of the golden record changed last"),
    _RUN,
)
_RECORD = (
    TENANT,
    _REF,
    Column("source", "string", "Source system"),
    Column("stream", "string", "Object or file kind in the source system"),
    Column("record_id", "string", "The record's own id in the source system"),
    Column("connection_id", "string", "Airflow Connection by which the record was read"),
)
_WHENCE = (
    Column("bronze_table", "string", "Bronze table that has the record as the source gave it"),
    Column("source_cursor", "string", "The source's own mark of this version of the record"),
    Column("seen_at", "timestamp", "When this version of the record was read from the source"),
    Column("silver_run_id", "string", "Run that brought this version to Silver"),
    Column("mapping_version", "integer", "Version of the mapping that made these values"),
    Column("schema_version", "integer", "Version of the entity's declaration"),
    Column("updated_at", "timestamp", "When the row changed last"),
)
LINKS = Table(
    "gold_identity_links",
    "Which source record belongs to which golden record; each source record once",
    ("tenant_id", "entity", "record_ref"),
    (
        TENANT,
        _ENTITY,
        Column("entity_id", "string", "Golden record that the source record belongs to"),
        _REF,
        Column("source", "string", "Source system"),
        Column("stream", "string", "Object or file kind in the source system"),
        Column("record_id", "string", "The record's own id in the source system"),
        Column("connection_id", "string", "Airflow Connection by which the record was read"),
        Column("confidence", "double", "Probability of the record's best accepted link; 1 for a single record"),
        Column("method", "string", "single (nothing to join), matched (by the engine) or steward (by a person)"),
        Column("linked_at", "timestamp", "When the record was joined to this golden record"),
        _RUN,
    ),
    required=True,
)
MATCHES = Table(
    "gold_identity_matches",
    "Pairs of source records that were compared closely, and why they are or are not one",
    ("tenant_id", "entity", "left_ref", "right_ref"),
    (
        TENANT,
        _ENTITY,
        Column("left_ref", "string", "The pair's record whose reference sorts first"),
        Column("right_ref", "string", "The pair's other record"),
        Column("entity_id", "string", "Golden record that holds both; empty where they were not joined"),
        Column("probability", "double", "Probability that both records are one, 0 to 1"),
        Column("weight", "double", "The same as evidence: log2 of the odds, prior included"),
        Column("decision", "string", DECISIONS),
        Column("reason", "string", "Why a strong pair was left apart, or what a steward said"),
        Column("waterfall", "json", "The evidence attribute by attribute: level, weight in bits, both values"),
        Column("blocking_rule", "string", "Rule that brought the two records together"),
        Column("model_version", "integer", "Version of the learned weights"),
        Column("matched_at", "timestamp", "When the pair was decided"),
        _RUN,
    ),
)
CHANGES = Table(
    "gold_identity_changes",
    "What happened to golden records, in order; rows are only ever added",
    ("tenant_id", "entity", "change_id"),
    (
        TENANT,
        _ENTITY,
        Column("change_id", "string", "Id of the change"),
        Column("kind", "string", CHANGE_KINDS),
        Column("entity_id", "string", "Golden record that changed"),
        Column("other_entity_id", "string", "The other golden record of a merge or split"),
        _REF,
        Column("actor", "string", "Engine or person behind the change"),
        Column("reason", "string", "Why, in words"),
        Column("changed_at", "timestamp", "When"),
        _RUN,
    ),
)
REDIRECTS = Table(
    "gold_identity_redirects",
    "Ids that were merged away, and the id that stands for them now",
    ("tenant_id", "entity", "from_id"),
    (
        TENANT,
        _ENTITY,
        Column("from_id", "string", "Former id"),
        Column("to_id", "string", "Id that it was merged into; may have been merged on, see gold.current_id()"),
        Column("created_at", "timestamp", "When the merge happened"),
        _RUN,
    ),
)


PUBLICATIONS = Table(
    "gold_publication_log",
    "What was published when: rows of this tenant after each publication that had something to do",
    ("tenant_id", "entity", "published_at"),
    (
        TENANT,
        _ENTITY,
        Column("published_at", "timestamp", "When the publication became visible"),
        _RUN,
        Column("rows", "json", "Rows per table after the publication"),
        Column("delta_versions", "json", "Version of each Delta table that was published"),
    ),
)
LOOKUP_MODELS = Table(
    "gold_lookup_models",
    "Learned weights by which `spine lookup` finds the golden record of given values; made for programs",
    ("tenant_id", "entity"),
    (
        TENANT,
        _ENTITY,
        Column("stamp", "string", "Changes whenever everything was made anew: weights, rules, or the way of keeping records and keys"),
        Column("model_version", "integer", "Version of the learned weights"),
        Column("buckets", "integer", "How many buckets keys are spread over, a power of two"),
        Column("records", "integer", "Source records that can be found"),
        Column("parameters", "string", "The learned weights as JSON"),
        _RUN,
    ),
)
LOOKUP_RECORDS = Table(
    "gold_lookup_records",
    "Source records as `spine lookup` compares them: their standardised values; made for programs",
    ("tenant_id", "entity", "number"),
    (
        TENANT,
        _ENTITY,
        Column("number", "integer", "Number of the record within tenant and entity, as keys know it"),
        _REF,
        Column("entity_id", "string", "Golden record that the source record belongs to"),
        Column("digest", "integer", "Changes whenever a value that is compared or the golden record does"),
        Column("features", "string", "Standardised values, told apart by the control character 1E"),
    ),
    by_entity=False,
)
LOOKUP_KEYS = Table(
    "gold_lookup_keys",
    "Which records carry which blocking key, packed: how `spine lookup` finds records worth a comparison; made for programs",
    ("tenant_id", "entity", "bucket"),
    (
        TENANT,
        _ENTITY,
        Column("bucket", "integer", "First bits of the keys in this bucket"),
        Column("postings", "bytes", "Pairs of key (8 bytes) and record number (4 bytes), little-endian, in order"),
    ),
)
LOOKUP = (LOOKUP_MODELS, LOOKUP_RECORDS, LOOKUP_KEYS)


def shape_of(entity: Entity) -> Shape:
    """Tables and views of one entity, by its declaration."""
    if entity.matching is None:
        return _united(entity)
    fields = tuple(Column(name, declared.type, _meaning(declared)) for name, declared in entity.fields.items())
    golden = Table(
        entity.gold_table,
        f"Golden records: {entity.description}",
        ("tenant_id", "entity_id"),
        (*_GOLDEN_BEFORE, *fields, *_GOLDEN_AFTER),
        shared=False,
        required=True,
    )
    return Shape(entity.entity, (golden, LINKS, MATCHES, CHANGES, REDIRECTS), _views(entity, golden))


def _united(entity: Entity) -> Shape:
    """An entity without identity: one table, one view."""
    fields = [Column(name, declared.type, _meaning(declared)) for name, declared in entity.fields.items()]
    ids = [Column(r.column, "string", f"Golden {r.entity} that `{r.field}` means: entity_id of gold.{r.entity}") for r in entity.references]
    comment = f"One row per {entity.label.lower()} of any source that is not deleted there. {entity.description}"
    table = Table(
        entity.gold_table, comment, ("tenant_id", "record_ref"), (*_RECORD, *fields, *ids, *_WHENCE, _RUN), shared=False, required=True
    )
    views = (
        View(entity.entity, table.name, comment, _plain(table, ("run_id", "schema_version", "tenant_id"))),
        View("publications", PUBLICATIONS.name, PUBLICATIONS.comment, _plain(PUBLICATIONS, ("run_id", "tenant_id"))),
    )
    return Shape(entity.entity, (table,), views, matched=False)


def _step(key: str, kind: str = "") -> str:
    return f"(e.step ->> '{key}'){kind}"


_EVIDENCE: tuple[tuple[str, str, str], ...] = (
    ("left_ref", 't."left_ref"', "The pair's record whose reference sorts first"),
    ("right_ref", 't."right_ref"', "The pair's other record"),
    ("entity_id", 't."entity_id"', "Golden record that holds both; empty where they were not joined"),
    ("decision", 't."decision"', DECISIONS),
    ("probability", 't."probability"', "Probability that both records are one, 0 to 1"),
    ("step", "e.place", "Place of the row within its pair, from 1"),
    ("attribute", _step("attribute"), "Attribute that was compared, or: prior, relation, certain rule"),
    ("level", _step("label"), "How well both values agree"),
    ("left_value", _step("left"), "The left record's value as it was compared"),
    ("right_value", _step("right"), "The right record's value as it was compared"),
    ("weight", _step("weight", "::double precision"), "Evidence of the level in bits: positive speaks for one, negative against"),
    ("tf_adjustment", _step("tf_adjustment", "::double precision"), "Evidence in bits because the shared value is rare, or common"),
    (
        "total",
        f"coalesce({_step('weight', '::double precision')}, 0) + coalesce({_step('tf_adjustment', '::double precision')}, 0)",
        "Weight and adjustment together",
    ),
    ("model_version", 't."model_version"', "Version of the learned weights"),
    ("tenant_id", 't."tenant_id"', TENANT.comment),
)


def _meaning(declared: Any) -> str:
    return declared.description if declared.pii == "none" else f"{declared.description} (personal data: {declared.pii})"


def _views(entity: Entity, golden: Table) -> tuple[View, ...]:
    kind, label = entity.entity, entity.label.lower()
    mine = f"t.entity = '{kind}'"
    tail = ("run_id", "schema_version", "tenant_id", "entity")
    why = ("why", "gold.why(t.probability, t.waterfall)", "The evidence in words, strongest first, with its weight in bits")
    matches = _plain(MATCHES, tail)
    return (
        View(kind, golden.name, f"One row per golden {label}. Read this first. {entity.description}", _plain(golden, tail)),
        View(f"{kind}_sources", LINKS.name, f"One row per source record of a golden {label}", _plain(LINKS, tail), mine),
        View(
            f"{kind}_matches",
            MATCHES.name,
            f"Why two source records are, or are not, one {label}",
            (*matches[:6], why, *matches[6:]),
            mine,
        ),
        View(
            f"{kind}_evidence",
            MATCHES.name,
            f"Why two source records are, or are not, one {label}: a row per attribute; totals of a pair add up to its weight",
            _EVIDENCE,
            mine,
            unnest="waterfall",
        ),
        View(
            "changes",
            CHANGES.name,
            "Every creation, join, merge, split and end of golden records",
            _plain(CHANGES, ("run_id", "tenant_id")),
        ),
        View("publications", PUBLICATIONS.name, PUBLICATIONS.comment, _plain(PUBLICATIONS, ("run_id", "tenant_id"))),
        View("redirects", REDIRECTS.name, REDIRECTS.comment, _plain(REDIRECTS, ("run_id", "tenant_id"))),
    )


def _plain(table: Table, last: tuple[str, ...]) -> tuple[tuple[str, str, str], ...]:
    """All columns as they are, those in `last` at the end but for the entity, which the view's name says."""
    first = [c for c in table.columns if c.name not in last]
    rest = [c for c in table.columns if c.name in last and not (c.name == "entity" and "entity" in last)]
    return tuple((c.name, f't."{c.name}"', c.comment) for c in (*first, *rest))
