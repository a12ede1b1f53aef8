"""What a source says of its own changes: the token that later ones are asked by, and what is gone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import jmespath

from spine.core.declarations import Place
from spine.core.errors import SchemaMismatch
from spine.core.placeholders import names_in
from spine.http.client import Client
from spine.http.paging import Fetched
from spine.http.paging.pages import named, resolved, search
from spine.http.rules import ExpiredRule, Rule, Skipped, When
from spine.sources.rest.requester import request_of
from spine.sources.spec import Asking, Stream
from spine.sources.spec.streams import SINCE

_ASKING = ("path", "host", "params", "headers", "body")


_MISSING = Rule(when=When(status=(404,)), then="skip")
UNTOLD = "the source gave no token of its changes, so that the next run reads the same again"


def expired_rules(stream: Stream) -> tuple[ExpiredRule, ...]:
    """The rules of answers that refuse the stream's token."""
    return tuple(ExpiredRule(when=when, then="restart") for when in stream.changes.expired) if stream.changes else ()


def first_token(stream: Stream, client: Client, values: Mapping[str, Any]) -> str | None:
    """The token of now, None where a reading's last page gives it, or the source has no such request (404).

    Raises SchemaMismatch, ConnectorErrors.
    """
    first = stream.changes.first if stream.changes else None
    if first is None:
        return None
    asking = replace(client, rules=(_MISSING, *client.rules))
    try:
        found = search(jmespath.compile(first.token), asking.request(request_of(first, values)).json())
    except Skipped:
        return None
    if not isinstance(found, str | int) or found == "":
        raise SchemaMismatch(f"the answer has no token at {first.token!r}", hint="Check `changes.first`", stream=stream.name)
    return client.unsigned(str(found))


def token_in(stream: Stream, client: Client, page: Fetched) -> str | None:
    """The token in the last page of a reading, without our secrets; a relative address is made whole."""
    if stream.changes is None:
        return None
    found = named(page, stream.changes.token)
    if found is None:
        return None
    return client.unsigned((resolved(page, found) or found) if _is_address(stream) else found)


def removed_in(stream: Stream, body: Any) -> list[Any]:
    """What an answer says is gone, as objects with the key."""
    if stream.changes is None or stream.changes.removed is None:
        return []
    found = search(jmespath.compile(stream.changes.removed), body)
    items = found if isinstance(found, list) else [] if found is None else [found]
    alone = stream.key_fields[0] if len(stream.key_fields) == 1 else ""
    return [{alone: item} if alone and isinstance(item, str | int) else item for item in items]


def _is_address(stream: Stream) -> bool:
    return SINCE in (stream.path, stream.later.path if stream.later else "")


def mistakes(stream: Stream) -> Iterator[tuple[Place, str]]:
    """What is wrong with how a stream's changes are told: places inside it, and why."""
    changes = stream.changes
    if changes is None:
        return
    if stream.cursor is not None:
        yield ("cursor",), "its changes are told by a token, which stands in place of a cursor: leave one of both out"
    if not any("changes.token" in names_in(_said(one, word)) for one in (stream, stream.later) if one for word in _ASKING):
        yield ("changes", "token"), f"no request asks by it: write {SINCE} where the source wants it, mostly in `later`"
    if stream.path == SINCE:
        yield ("path",), f"the first read has no token: write the path here, and {SINCE} as that of `later`"
    if changes.removed is not None and not stream.key_fields:
        yield ("changes", "removed"), "what is gone is found by its key, which must be fields"
    if stream.job is not None or stream.response.by_rows:
        yield ("changes",), "a file has no token: answers are to be documents"
    grouped = [stream.parent.group] if stream.parent else []
    if max([*grouped, *(one.group for one in stream.partitions.values())], default=1) > 1:
        yield ("changes",), "each parent and each value has a token of its own: such a stream takes no `group`"


def _said(asking: Asking, word: str) -> Any:
    value = getattr(asking, word)
    return value.model_dump(exclude={"graphql"}, exclude_none=True) if hasattr(value, "model_dump") else value
