"""Words for a request: where it goes, what it asks and says, how its answer is read."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, Field, model_validator

from spine.core.declarations import Strict, refuse
from spine.core.texts import Duration, JmesPath
from spine.http.paging import PAGING_KINDS, Paging
from spine.http.paging.none import NoPaging
from spine.sources.decoders import DECODER_KINDS, Decoder
from spine.sources.decoders.json import JsonDecoder

# Which kinds there are is known when the program runs: one for each file of the package.
if TYPE_CHECKING:
    AnyPaging: TypeAlias = Paging
    AnyDecoder: TypeAlias = Decoder
else:
    AnyPaging = PAGING_KINDS.choice()
    AnyDecoder = Annotated[DECODER_KINDS.choice(), BeforeValidator(lambda said: {"type": said} if isinstance(said, str) else said)]
Scalar: TypeAlias = str | int | float | bool
Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


class Body(Strict):
    """What a request says: `json`, a `form`, or a `graphql` query with its variables; texts in it may hold placeholders, the query may not.

    Example:
        json: {filter: {updated_after: "{start}"}, limit: 100}
    """

    json_: Any = Field(default=None, alias="json", description="The body as JSON")
    form: dict[str, Scalar] | None = Field(default=None, description="The body as fields of a form")
    graphql: str | None = Field(default=None, description="A query of GraphQL, sent as it is")
    variables: dict[str, Any] = Field(default_factory=dict, description="The variables of the `graphql` query")

    @model_validator(mode="after")
    def _one_kind(self) -> Body:
        kinds = [name for name, value in (("json", self.json_), ("form", self.form), ("graphql", self.graphql)) if value is not None]
        found: list[tuple[tuple[str | int, ...], str]] = []
        if len(kinds) != 1:
            found.append((tuple(kinds[1:2]), "a body is one of `json`, `form` and `graphql`"))
        if self.variables and self.graphql is None:
            found.append((("variables",), "only a `graphql` query has variables"))
        refuse(type(self), found)
        return self


class Asking(Strict):
    """A request as a stream's file describes it. Base of streams, of their `later:` block and of the requests of jobs."""

    path: str = Field(
        default="",
        description="The path below the Connection's address; values in it are percent-encoded",
    )
    host: str | None = Field(default=None, description="Another host than the Connection's, one of the source's `hosts`")
    method: Method | None = Field(default=None, description="The method; GET, and POST with a body, if it is not given")
    params: dict[str, Scalar | list[Scalar]] = Field(default_factory=dict, description="Parameters of the query")
    lists: Literal["repeat", "comma", "brackets", "json"] = Field(
        default="repeat", description="How a parameter with several values is written: `a=1&a=2`, `a=1,2`, `a[]=1&a[]=2` or `a=[1,2]`"
    )
    slashes: bool = Field(default=False, description="Whether a value in the path may be several steps of it, as owner/name")
    raw: tuple[str, ...] = Field(default=(), description="Parameters that are sent as they are, without percent-encoding")
    headers: dict[str, str] = Field(default_factory=dict, description="Headers, besides the source's")
    body: Body | None = Field(default=None, description="What the request says")
    idempotent: bool | None = Field(
        default=None,
        description="Whether it may be sent twice, after a failure; by the method if it is not given, and queries of GraphQL may",
    )


def words_said(declared: BaseModel, *, but: str = "") -> dict[str, Any]:
    """The words that a declaration's file gives, with their values, all `but` one."""
    return {name: getattr(declared, name) for name in declared.model_fields_set if name != but}


class Reading(Asking):
    """A request whose answers are records: besides, where they are in an answer and how the next page is found."""

    response: AnyDecoder = Field(default=JsonDecoder(), description="The format of an answer, by its word or with words of its own")
    records: JmesPath = Field(default="@", description="JMESPath of the records in an answer")
    map_key: str | None = Field(default=None, description="Where the records are the values of a map: the field that their names go to")
    columns: JmesPath | None = Field(default=None, description="Where the records are rows of values: JMESPath of the columns' names")
    paging: AnyPaging = Field(default_factory=NoPaging, description="How the next page is found")


class Later(Reading):
    """What is asked otherwise as soon as the stream has a cursor: words given here stand in place of the stream's own.

    Example:
        path: /customers/search
        params: {query: "updated:>{start}"}
        within: 30d
    """

    within: Duration | None = Field(
        default=None, gt=timedelta(), description="How far back it can be asked; a stream that was not read since is read again as a whole"
    )
