"""Words for sources that tell what has changed since a token which they gave before."""

from __future__ import annotations

from pydantic import Field

from spine.core.declarations import Strict
from spine.core.texts import JmesPath
from spine.http.rules import When
from spine.sources.spec.requests import Asking


class FirstToken(Asking):
    """The request that gives the token of now. It is made before everything is read, so that nothing that changes meanwhile is missed.

    Example:
        path: /changes/startPageToken
        token: startPageToken
    """

    token: JmesPath = Field(description="JMESPath of the token in its answer")


class Changes(Strict):
    """How the source tells what has changed since a token that it gave: a delta link, a sync token, a position in its log.

    Requests name the token as `{changes.token}`, mostly in `later`; where it is a whole address, that is the `path`. It is kept in place of
    a cursor, for each partition its own, and moves once all that came before it is in Bronze. It has no order: nobody can rewind it, no
    interval of time bounds it, and a run of mode `full` reads everything. So does a token that the source refuses as `expired`, or one of
    a request that has asked for something else.

    Example:
        token: '"@odata.deltaLink"'
        expired: [{status: [410]}]
    """

    token: JmesPath = Field(description="JMESPath of the token, or of the address that has it, in the answer of a reading's last page")
    first: FirstToken | None = Field(
        default=None, description="The request that gives the first token, where the answers with everything have none"
    )
    removed: JmesPath | None = Field(
        default=None, description="JMESPath of what is gone, beside the records of an answer: objects with the key, or values of the key"
    )
    expired: tuple[When, ...] = Field(
        default=(When(status=(410,)),), description="Answers that refuse a token as too old; 410 if it is not given"
    )
