"""One stream of a source: where it is read, how its records are found, and what they become."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping as Values
from itertools import takewhile
from typing import Any, Literal

from pydantic import Field, PrivateAttr, model_validator

from spine.core.declarations import refuse
from spine.core.mapping import FieldMapping, Mapping
from spine.core.texts import FieldPath, Word
from spine.http.allowance import Limits
from spine.http.rules import Rule
from spine.sources.forms import PLAIN, Form
from spine.sources.spec.auths import AnyAuth
from spine.sources.spec.budgets import Timeouts
from spine.sources.spec.changes import Changes
from spine.sources.spec.cursors import Cursor
from spine.sources.spec.deletes import Deletes
from spine.sources.spec.downloads import Download
from spine.sources.spec.fields import FieldList
from spine.sources.spec.found import Found
from spine.sources.spec.jobs import Job
from spine.sources.spec.keys import Key
from spine.sources.spec.partitions import Parent, Partition
from spine.sources.spec.requests import Later, Reading, words_said
from spine.sources.spec.shaping import Shaping
from spine.sources.spec.tables import Table

SINCE = "{changes.token}"
TOLD = "changes "  # what stands before a token where a cursor may stand as well


class Stream(Shaping, Reading):
    """One table, object or endpoint of a source, and the canonical entity it becomes.

    Without `entity` and `mapping` it becomes a Silver table of its own, `<source>_<stream>`: a typed column for each field that it sends.
    `key` lists the fields that tell a record from others. `key: hash` is for records without such a field: equal content is one record,
    and a changed one is another. `key: singleton` is for a stream that holds one record, which has no id.

    Not every reader reads every word: `records`, `paging` but for its size, and `since` and `until` of the cursor are for sources of kind
    `generic`; `object` and `fields` are for readers that ask for them. Each reader's module lists what it reads (`READS`), how it sees
    deletes (`DETECTS`), and what else is wrong with a stream (`mistakes`).

    Example:
        - name: customers
          path: /customers
          records: data
          key: [id]
          cursor: {field: updated_at, since: updated_since}
          paging: {type: next_token, next: next_cursor, param: cursor}
          entity: person
          mapping:
            fields: {given_name: first, family_name: last}
    """

    name: Word = Field(description="Its name, which tables have too")
    object: str | None = Field(default=None, description="The vendor's name of it, for readers that ask for one")
    table: Table | None = Field(default=None, description="The table that is read, of a source of kind `database`")
    form: Form = Field(default=PLAIN, description="What names of files do not say of their form, of a source of kind `files`")
    key: Key = Field(description="The fields that tell a record from all others; `hash` or `singleton` where there are none")
    fields: tuple[str, ...] = Field(default=(), description="The fields that are asked for; `{fields}` in a request")
    field_list: FieldList | None = Field(
        default=None, description="Where the source itself says which there are, and in what chunks they come"
    )
    required_fields: tuple[FieldPath, ...] = Field(default=(), description="Fields that some record of each page must have")
    cursor: Cursor | None = Field(default=None, description="What orders changes; without it everything is read on each run")
    changes: Changes | None = Field(default=None, description="How the source tells what has changed since a token that it gave")
    found: Found | None = Field(default=None, description="It stands for many streams, which are found when a run begins")
    parent: Parent | None = Field(default=None, description="Another stream, for each record of which it is read")
    partitions: dict[Word, Partition] = Field(default_factory=dict, description="Lists, for each value of which it is read")
    drift: Literal["evolve", "freeze", "discard_row", "discard_value"] = Field(
        default="evolve",
        description="Fields and types that were never seen: taken, refused with the stream, quarantined with their row, or put aside",
    )
    errors: tuple[Rule, ...] = Field(default=(), description="What becomes of odd answers; these come before the source's")
    timeouts: Timeouts | None = Field(default=None, description="Of this stream, in place of the source's")
    limits: Limits | None = Field(default=None, description="Of this stream, in place of the source's")
    searches: bool = Field(default=False, description="Whether its requests use up the budget of `rate_limit.search` besides the account's")
    job: Job | None = Field(default=None, description="A job whose result is what is read")
    later: Later | None = Field(default=None, description="What is asked otherwise once there is a cursor")
    auth: AnyAuth | None = Field(default=None, description="How its requests are signed, where that differs from the source's")
    download: Download | None = Field(default=None, description="The file that each record refers to, which is fetched as well")
    deletes: Deletes = Field(default=Deletes(), description="How deletes are seen, and what they do")
    history: bool = Field(
        default=False, description="Whether each version of a record is kept, in `<source>_<stream>_history`, with the time it was valid"
    )
    entity: Word | None = Field(
        default=None, description="The canonical entity that its records become; without one they keep their fields"
    )
    mapping: Mapping | None = Field(default=None, description="How they become it")

    _template: str | None = PrivateAttr(default=None)
    _values: Values[str, Any] = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _whole(self) -> Stream:
        if self.entity is not None and self.mapping is None:
            refuse(type(self), [(("mapping",), f"is missing: it says what becomes {self.entity!r}; without an entity none is needed")])
        if self.download is not None and self.key == "hash":
            refuse(type(self), [(("download",), "of `key: hash` what became of a file would make another record: name a key")])
        if self.history and self.key == "hash":
            refuse(type(self), [(("history",), "of `key: hash` a changed record is another one, so that no record has versions")])
        if self.history and self.deletes.mode == "hard_delete":
            refuse(type(self), [(("history",), "keeps what `hard_delete` takes away: say `soft_delete`, which marks it")])
        if self.entity is None and self.mapping is not None:
            refuse(type(self), [(("entity",), "is missing: `mapping` says how an entity is filled; without it every field has a column")])
        return self

    @property
    def key_fields(self) -> tuple[str, ...]:
        """The fields of the key; none where the key is no field."""
        return () if isinstance(self.key, str) else self.key

    def found_as(self, name: str, values: Values[str, Any]) -> Stream:
        """One of the streams that it stands for; `values` are what `{found.…}` names."""
        found = self.model_copy(update={"name": name})
        found._template, found._values = self.name, values
        return found

    @property
    def template(self) -> str | None:
        """The stream of the file that stands for it, None if the file names it itself."""
        return self._template

    @property
    def declared(self) -> str:
        """The name that the file has for it."""
        return self._template or self.name

    @property
    def named(self) -> dict[str, Any]:
        """What placeholders name besides variables, because it was found."""
        return {"found": self._values} if self.found is not None else {}

    @property
    def in_parts(self) -> bool:
        """Whether it is read part by part: for each parent, or each value of a list."""
        return bool(self.parent or self.partitions)

    @property
    def leading_key(self) -> tuple[str, ...]:
        """The first fields of the key that are computed from the parent or the partition."""
        return tuple(takewhile(lambda name: self.compute.get(name, "").startswith(("{parent.", "{partition.")), self.key_fields))

    @property
    def silver(self) -> str:
        """What its Silver table is named after: its entity, or itself."""
        return self.entity or self.name

    @property
    def mapped(self) -> dict[str, FieldMapping]:
        """What is mapped, by canonical field; nothing without an entity."""
        return self.mapping.fields if self.mapping else {}

    def asked(self, *, first: bool) -> Stream:
        """The stream as it is asked: on its `first` read, or once there is a cursor or a token.

        A token that is a whole address carries the parameters itself.
        """
        if first or self.later is None:
            return self
        said = words_said(self.later, but="within")
        if self.changes is not None and self.later.path == SINCE:
            said = {"params": {}, **said}
        return self.model_copy(update=said)

    @property
    def told_by(self) -> str:
        """What stands with a token in place of the cursor's field: a digest of what is asked for, since a token is of that request."""
        asked = self.model_dump_json(include={"path", "host", "params", "body", "fields", "changes"})
        return f"{TOLD}{hashlib.sha256(asked.encode()).hexdigest()[:12]}"
