"""Words for streams that are read part by part: for each record of a parent, each value of a list, or each pair of these."""

from __future__ import annotations

from pydantic import Field, model_validator

from spine.core.declarations import Strict, refuse
from spine.core.mapping import RowFilter
from spine.core.texts import FieldPath, Word
from spine.sources.spec.requests import Scalar


class Parent(Strict):
    """The stream is read once for each living record of another one, whose fields requests and `compute` name as `{parent.id}`.

    The parent may have a parent itself, whose fields are `{parent.parent.id}`, or lists: `{parent.partition.region}`. Each has a cursor of
    its own, so that a new one is read from its beginning. With `group` several parents share a request, in which `{parent.id}` is a list.

    Example:
        stream: accounts
        changed: true
    """

    stream: Word = Field(description="The parent: another stream of the source")
    changed: bool = Field(
        default=False, description="Only for parents that have changed since the last run, by the parent's cursor or token"
    )
    listed: Word | None = Field(
        default=None, description="The variable whose values stand for the parents' keys: where the account has some, none are asked for"
    )
    group: int = Field(default=1, ge=1, le=1000, description="How many parents share a request")
    filters: tuple[RowFilter, ...] = Field(
        default=(), description="For which parents it is read, by their fields; for all of them if not given"
    )


class Partition(Strict):
    """The stream is read once for each value, which requests and `compute` name as `{partition.region}`; for each pair of several lists.

    Beside a parent it is read for each pair of a parent and a value. With `stream` the values are those of a field of all living records
    of another stream, up to 10,000: so it is read for each pair of two streams' records, as accounts and months.

    Example:
        values: [eu, us]
    """

    values: tuple[Scalar, ...] = Field(default=(), description="The values")
    variable: Word | None = Field(default=None, description="The variable of type `list` that has them")
    stream: Word | None = Field(default=None, description="Another stream, whose records have them")
    field: FieldPath | None = Field(default=None, description="The field of such a record; the key if it is not given")
    group: int = Field(default=1, ge=1, le=1000, description="How many values share a request, in which the placeholder is a list")

    @model_validator(mode="after")
    def _one_list(self) -> Partition:
        if bool(self.values) + bool(self.variable) + bool(self.stream) != 1:
            refuse(type(self), [((), "has one list: `values`, the `variable` of the Connection, or the records of another `stream`")])
        if self.field is not None and self.stream is None:
            refuse(type(self), [(("field",), "is of a record of another `stream`, and none is named")])
        return self
