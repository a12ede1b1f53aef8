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
    """

    source: tuple[FieldPath, ...] = Field(default=(), alias="from")
    join: str | None = None
    transform: Transform = "none"
    lookup: dict[str, str] | None = None
    script: Script | None = None
    default: Any = None
    confidence: float = Field(default=1.0, ge=0, le=1)

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
    """Keeps rows whose payload field is (or is not) one of the values; the others are counted as filtered."""

    field: FieldPath
    one_of: tuple[str, ...] = ()
    none_of: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _says_something(self) -> RowFilter:
        if not self.one_of and not self.none_of:
            raise ValueError("has neither `one_of` nor `none_of`, so that it would keep every row")
        return self


class Mapping(Strict):
    """A stream's mapping, version by version: canonical field -> source field (text) or FieldMapping."""

    version: int = Field(default=1, ge=1)
    entity_version: int | None = None
    fields: dict[str, FieldMapping] = Field(min_length=1)
    filters: tuple[RowFilter, ...] = ()
    split: FieldPath | None = None

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("fields"), dict):
            fields = {key: {"from": value} if isinstance(value, str) else value for key, value in data["fields"].items()}
            return {**data, "fields": fields}
        return data
