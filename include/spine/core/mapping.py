"""The model of a mapping: how a stream's payload becomes a canonical entity. Embedded in source specs."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from spine.core.declarations import Strict
from spine.core.texts import FieldPath
from spine.core.vocabulary import KnownWord

Transform = Annotated[str, KnownWord("transform")]
Script = Annotated[str, KnownWord("script")]


class FieldMapping(Strict):
    """Where one canonical field comes from.

    `source` is a dotted path in the payload, or several: with `join` they are merged by it, without it the first present one wins.
    `transform` is a registered normalisation, `lookup` replaces values by a table, `script` names a registered function,
    `default` fills what is missing, `confidence` (0 to 1) tells people how sure the mapping is; no value depends on it.

    Example:
        from: [work_email, email]
        transform: email
    """

    source: tuple[FieldPath, ...] = Field(default=(), alias="from", description="One path in the payload, or several")
    join: str | None = Field(default=None, description="What stands between several values; without it the first one that is there wins")
    transform: Transform = Field(default="none", description="A [transform](reference.md#transforms)")
    lookup: dict[str, str] | None = Field(default=None, description="A table that replaces values")
    script: Script | None = Field(default=None, description="A registered function")
    default: Any = Field(default=None, description="What stands where nothing is")
    confidence: float = Field(default=1.0, ge=0, le=1, description="How sure the mapping is, for people")

    @field_validator("source", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _says_something(self) -> FieldMapping:
        if not self.source and self.default is None:
            raise ValueError("has neither `from` nor `default`, so that it would always be empty")
        if self.join is not None and len(self.source) < 2:
            raise ValueError("`join` needs several paths in `from`")
        return self


class RowFilter(Strict):
    """Keeps rows whose payload field is (or is not) one of the values; the others are counted as filtered.

    Example:
        field: status
        none_of: [draft]
    """

    field: FieldPath = Field(description="A path in the payload")
    one_of: tuple[str, ...] = Field(default=(), description="Values of rows that are kept")
    none_of: tuple[str, ...] = Field(default=(), description="Values of rows that are not")

    @model_validator(mode="after")
    def _says_something(self) -> RowFilter:
        if self._says_nothing():
            raise ValueError("has neither `one_of` nor `none_of`, so that it would keep every row")
        return self

    def _says_nothing(self) -> bool:
        return not self.one_of and not self.none_of


class Mapping(Strict):
    """A stream's mapping, version by version: canonical field -> source field (text), several of them (list) or FieldMapping.

    Example:
        fields:
          given_name: first
          email: {from: contact.email, transform: email}
    """

    version: int = Field(default=1, ge=1, description="Counted up with each change")
    entity_version: int | None = Field(default=None, description="The version of the entity that it was written for")
    fields: dict[str, FieldMapping] = Field(min_length=1, description="The entity's fields, each a path or what follows below")
    filters: tuple[RowFilter, ...] = Field(default=(), description="Which rows are kept")
    split: FieldPath | None = Field(default=None, description="A path to an array: each of its elements becomes a row")

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("fields"), dict):
            fields = {key: {"from": value} if isinstance(value, str | list) else value for key, value in data["fields"].items()}
            return {**data, "fields": fields}
        return data
