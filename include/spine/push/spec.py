"""The language of `include/syncs/<name>.yaml`: which of our records go back to which system, and as what."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from spine.core.declarations import Place, Strict, load_declaration, located, refuse
from spine.core.errors import ConfigError
from spine.core.mapping import RowFilter
from spine.core.settings import settings
from spine.core.texts import Cron, FieldPath, Word
from spine.sources.spec.source import Tier

IDS = ("record_ref", "entity_id", "record_id", "id")  # what tells a row of a table of ours from all others, the first that it has
FieldDirection = Literal["both", "push", "pull", "create"]


class RecordsOf(Strict):
    """Each record of a stream that is linked with a golden record, in place of the golden record itself.

    Its row has the golden record's fields and besides `record_id`, `record_ref`, `entity_id`, `confidence` of the link, and `links`: ids of
    the records that are linked with the same entity, by source and stream (`links.hubspot.contacts`).

    Example:
        source: salesforce
        stream: contacts
    """

    source: Word = Field(description="The source that the record was read from")
    stream: Word = Field(description="Its stream")


class PushSource(Strict):
    """What is sent: a Gold or Silver table of the lake, a view `gold.<name>` of PostgreSQL, or with `connector` a stream as it was read.

    Example:
        object: gold_party_person
        filters: [{field: country, one_of: [DE]}]
    """

    object: str = Field(min_length=1, description="The table, the view `gold.<name>`, or the stream of `connector`")
    connector: Word | None = Field(default=None, description="The source whose stream is meant, by its own names of fields")
    filters: tuple[RowFilter, ...] = Field(default=(), description="Which rows are sent; one that passes no more counts as gone")
    modified: FieldPath | None = Field(default=None, description="When a row was changed, for `latest_wins`; by its table if not given")
    records_of: RecordsOf | None = Field(default=None, description="The linked records of a source in place of golden records")

    @model_validator(mode="after")
    def _fits(self) -> PushSource:
        if self.records_of is not None and (self.connector is not None or not self.object.startswith("gold_")):
            refuse(type(self), [(("records_of",), "only a Gold table of the lake has linked records")])
        return self


class PushField(Strict):
    """Where one field goes. `direction` matters where both sides change: `push` is ours, `pull` the other side's, `create` is sent once.

    Example:
        to: firstname
        direction: push
    """

    to: str = Field(min_length=1, description="The field's name there")
    direction: FieldDirection = Field(default="both", description="Who may change it")


class PushDestination(Strict):
    """Where it goes: an object of the system that the Connection `ipai_connector_<connector>` names.

    Example:
        connector: hubspot
        object: contacts
        mapping: {email: email, given_name: firstname, family_name: lastname}
        match_key: [email]
    """

    connector: Word = Field(description="The source's name, whose Connection is used")
    kind: Literal["salesforce", "hubspot", "google_sheets", "postgresql", "rest"] | None = Field(
        default=None, description="How it is written to; by the source's file if not given, which `postgresql` does not need"
    )
    object: str = Field(min_length=1, description="The vendor's object, the table as schema.name, or the sheet as id/title")
    operation: Literal["upsert", "append", "overwrite", "create", "update"] = Field(
        default="upsert",
        description="`upsert` makes and changes records, `create` and `append` only make them, `update` only changes them; "
        "`overwrite` takes away besides what is not ours",
    )
    mapping: dict[FieldPath, PushField] = Field(min_length=1, description="Our fields, each with its name there")
    match_key: tuple[FieldPath, ...] = Field(min_length=1, description="Which of our fields tell a record from all others there")
    stream: Word | None = Field(
        default=None, description="The stream that reads this object, by which we know what it holds; that of the same name if not given"
    )
    modified: FieldPath | None = Field(default=None, description="When a record was changed there; the stream's cursor if not given")

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("mapping"), dict):
            fields = {name: {"to": said} if isinstance(said, str) else said for name, said in data["mapping"].items()}
            return {**data, "mapping": fields}
        return data

    @model_validator(mode="after")
    def _fits(self) -> PushDestination:
        found: list[tuple[Place, str]] = [
            (("match_key", number), f"{name!r} is not in `mapping`, so that nobody there would know it")
            for number, name in enumerate(self.match_key) if name not in self.mapping
        ]  # fmt: skip
        names = [field.to for field in self.mapping.values()]
        found += [
            (("mapping", name), f"another field goes to {field.to!r} too")
            for at, (name, field) in enumerate(self.mapping.items()) if field.to in names[:at]
        ]  # fmt: skip
        refuse(type(self), found)
        return self

    @property
    def keys(self) -> tuple[str, ...]:
        """The names there of the fields of the key."""
        return tuple(self.mapping[name].to for name in self.match_key)

    @property
    def directions(self) -> Mapping[str, FieldDirection]:
        """Who may change each field, by its name there."""
        return {field.to: field.direction for field in self.mapping.values()}


class PushDeletes(Strict):
    """What becomes of a record there that is no more among ours: only of those that we have sent, and of no more than `max_share` of them.

    Example:
        mode: soft_delete
        field: status
        value: inactive
    """

    mode: Literal["ignore", "soft_delete", "hard_delete"] = Field(
        default="ignore", description="It stays, is marked by `field`, or is deleted"
    )
    field: str | None = Field(default=None, description="The field there that marks it")
    value: str | bool | int = Field(default=True, description="What it is marked with")
    max_share: float = Field(default=0.2, gt=0, le=1, description="The part of what we have sent above which nothing is deleted")

    @model_validator(mode="after")
    def _has_a_field(self) -> PushDeletes:
        if (self.mode == "soft_delete") != (self.field is not None):
            refuse(type(self), [(("field",), "belongs to `mode: soft_delete`, which needs it")])
        return self


class Push(Strict):
    """One way back: from a table of ours to a system. Only differences are sent.

    Example:
        name: leads_to_hubspot
        label: Leads to HubSpot
        source: {object: gold_party_person}
        destination:
          connector: hubspot
          object: contacts
          mapping: {email: email, given_name: firstname}
          match_key: [email]
        schedule: "*/15 * * * *"
    """

    name: Word = Field(description="Its name, which is the file's and the DAG's: push_<name>")
    label: str = Field(description="Its name for people")
    description: str = Field(default="", description="What it is for")
    source: PushSource = Field(description="What is sent")
    destination: PushDestination = Field(description="Where to, and as what")
    direction: Literal["push", "unidirectional", "bidirectional"] = Field(
        default="push", description="`bidirectional`: what changes there comes back to the source's system, which `source.connector` names"
    )
    sync_mode: Literal["incremental", "full"] = Field(
        default="incremental", description="`incremental` sends what differs, `full` every row on each run"
    )
    conflict_resolution: Literal["source_wins", "target_wins", "latest_wins", "manual"] = Field(
        default="source_wins", description="Who is right where the other side has changed a field too; `manual` asks a person"
    )
    deletes: PushDeletes = Field(default=PushDeletes(), description="What becomes of records that are no more among ours")
    max_changes: int = Field(default=10_000, ge=1, description="How many changes a run makes before it asks a person")
    tier: Tier = Field(default="standard", description="How often it is tried again, and how late it may be")
    schedule: Cron | None = Field(default=None, description="When it runs, as cron; when its table changes, if not given")
    enabled: bool = Field(default=True, description="Whether it runs at all")

    @model_validator(mode="after")
    def _two_ways(self) -> Push:
        found: list[tuple[Place, str]] = []
        if self.two_way and self.source.connector is None:
            found.append((("source", "connector"), "is missing: `bidirectional` writes to the source's system as well"))
        if self.two_way and self.destination.operation != "upsert":
            found.append((("destination", "operation"), "of a `bidirectional` sync is upsert"))
        if self.source.connector is not None and self.destination.operation == "overwrite":
            why = "takes away what is not ours, and of a stream nobody knows all: send its Silver table"
            found.append((("destination", "operation"), f"`overwrite` {why}"))
        if not self.two_way:
            found += [
                (("destination", "mapping", name, "direction"), "only a `bidirectional` sync pulls a field")
                for name, field in self.destination.mapping.items() if field.direction == "pull"
            ]  # fmt: skip
        refuse(type(self), found)
        return self

    @property
    def two_way(self) -> bool:
        """Whether changes come back to the source's system."""
        return self.direction == "bidirectional"


@lru_cache(maxsize=256)
def _load(path: Path, _modified: int) -> Push:
    push = load_declaration(path, Push)
    if push.name != path.stem:
        raise ConfigError.of(located(path, [(("name",), f"is {push.name!r}, but the file is named {path.stem!r}")]))
    return push


def load_push(name: str, folder: Path | None = None) -> Push:
    """The way back declared in `<folder>/<name>.yaml`. Raises ConfigError with file, line and field."""
    path = (folder or settings().syncs) / f"{name}.yaml"
    if not path.is_file():
        raise ConfigError(f"there is no way back named {name!r}", hint=f"Declare it in {path}")
    return _load(path, path.stat().st_mtime_ns)


def push_names(folder: Path | None = None) -> list[str]:
    """Names of all declared ways back, sorted, without reading them."""
    return sorted(path.stem for path in (folder or settings().syncs).glob("*.yaml"))
