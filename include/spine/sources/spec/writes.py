"""Words for what may be written back to a source: a request for each operation on an object, and how its answer tells of each record."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from spine.core.declarations import Place, Strict, refuse
from spine.core.placeholders import names_in
from spine.core.texts import JmesPath
from spine.sources.spec.requests import Asking

IDEMPOTENCY_KEY = "idempotency_key"


class WriteCall(Asking):
    """A request that writes one record, or up to `batch` of them.

    Its texts name `{id}`, the vendor's id, `{record}`, the fields that are written, one of them as `{record.email}`, `{records}`, the whole
    batch, and `{idempotency_key}`, the same whenever the same change is sent again. Without a body it says `{record}`, or `{records}`.

    Example:
        path: /contacts/batch
        batch: 100
        body: {json: {contacts: "{records}"}}
        item: {id: "{id}", attributes: "{record}"}
        results: results
        failed: error
        message: error.message
    """

    batch: int = Field(default=1, ge=1, le=5000, description="How many records one request writes")
    item: Any = Field(default=None, description="How a record stands in `{records}`; its fields if not given")
    results: JmesPath | None = Field(default=None, description="JMESPath of the results in an answer, one for each record, in their order")
    id: JmesPath = Field(default="id", description="JMESPath of the vendor's id in a result, or in the answer of a single one")
    failed: JmesPath | None = Field(default=None, description="JMESPath that finds something in the result of a record that was refused")
    code: JmesPath | None = Field(default=None, description="JMESPath of the error's code in a result")
    message: JmesPath | None = Field(default=None, description="JMESPath of the error's words in a result")
    retried: tuple[str, ...] = Field(default=(), description="Codes of errors that may pass another time")

    @model_validator(mode="after")
    def _fits(self) -> WriteCall:
        found: list[tuple[Place, str]] = []
        if self.batch > 1 and self.results is None and self.failed is not None:
            found.append((("results",), "is missing: without it nobody knows which record of a batch was refused"))
        refuse(type(self), found)
        return self

    @property
    def keyed(self) -> bool:
        """Whether the vendor knows a request again that it has had, by a key."""
        said = (self.headers, self.params, self.body.json_ if self.body else None, self.body.form if self.body else None, self.item)
        return any(name == IDEMPOTENCY_KEY for part in said for name in names_in(part))


class WriteLook(Asking):
    """A request that shows a record: by `{id}`, or by fields of its key, as `{record.email}`. What answers 404 is not there.

    Example:
        path: /contacts
        params: {email: "{record.email}"}
        records: data
    """

    records: JmesPath = Field(default="@", description="JMESPath of the record, or of a list of which the first counts")
    id: JmesPath = Field(default="id", description="JMESPath of the vendor's id in the record")
    fields: JmesPath = Field(default="@", description="JMESPath of the object in the record that has its fields")


class Write(Strict):
    """What may be written of one object: `upsert`, or `create` and `update`, and `delete`. `read` and `find` show what is there.

    A record that is made new must be known again after a failure: by `upsert`, by `find`, or by `{idempotency_key}` in `create`.

    Example:
        create: {path: /contacts}
        update: {path: "/contacts/{id}", method: PATCH}
        delete: {path: "/contacts/{id}", method: DELETE}
        find: {path: /contacts, params: {email: "{record.email}"}, records: data}
    """

    create: WriteCall | None = Field(default=None, description="Makes a record; POST if it has no method")
    update: WriteCall | None = Field(default=None, description="Changes a record by its id; PATCH if it has no method")
    upsert: WriteCall | None = Field(default=None, description="Makes or changes a record by its key; POST if it has no method")
    delete: WriteCall | None = Field(default=None, description="Deletes a record by its id; DELETE if it has no method")
    read: WriteLook | None = Field(default=None, description="Shows a record by its id")
    find: WriteLook | None = Field(default=None, description="Shows a record by its key")

    @model_validator(mode="after")
    def _can_be_trusted(self) -> Write:
        found: list[tuple[Place, str]] = []
        if not (self.create or self.upsert or self.update):
            found.append(((), "writes nothing: it has neither `create`, `update` nor `upsert`"))
        if self.create and not self.upsert and not self.find and not self.create.keyed:
            found.append((("create",), "could make a record twice after a failure: add `find`, or {idempotency_key} in its headers"))
        refuse(type(self), found)
        return self
