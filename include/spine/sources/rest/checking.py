"""What is wrong with a REST stream that can be known before it is read: places in the source's file, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from spine.core.declarations import Place
from spine.core.placeholders import names_in
from spine.core.texts import nearest
from spine.http.paging.pages import Placed
from spine.sources.rest import changes
from spine.sources.spec import Asking, Partition, Reading, Source, Stream

_ASKING = ("path", "host", "params", "headers", "body")
_INNER = {"json_": "json"}


def mistakes(stream: Stream) -> Iterator[tuple[Place, str]]:
    """What is wrong with a stream of this kind: places inside it, and why."""
    cursor = stream.cursor
    if cursor is not None and "since" not in cursor.model_fields_set and not _asks_for_changes(stream):
        yield (
            ("cursor", "since"),
            (
                "no parameter asks the source for changes: name it, or write `since: null` if there is none; "
                "every run then reads everything and leaves out what is old"
            ),
        )
    yield from _deletes(stream)
    yield from changes.mistakes(stream)
    if stream.later is not None and cursor is None and stream.changes is None:
        yield ("later",), "a stream without a cursor is asked in the same way each time"
    if cursor is not None and cursor.windows is not None and not _asks_for_changes(stream) and not cursor.since:
        yield ("cursor", "windows"), "no span of time is asked for: name `since` and `until`, or write {start} and {end} into the request"
    yield from _paging(stream)
    yield from _fields(stream)
    yield from _dropped(stream)
    if stream.map_key is not None and stream.columns is not None:
        yield ("columns",), "the records are values of a map or rows of values, not both"
    for place, method in _methods(stream):
        if method == "GET":
            yield place, "a GET has no body: leave the method out, or write POST"


def _deletes(stream: Stream) -> Iterator[tuple[Place, str]]:
    """Deletes that could not be seen so."""
    cursor, deletes = stream.cursor, stream.deletes
    if deletes.detect == "flag" and deletes.field is None:
        yield ("deletes", "field"), "`detect: flag` needs the field that tells a deleted record"
    if deletes.detect == "sweep" and stream.parent and stream.parent.changed:
        yield ("deletes", "detect"), "a sweep needs reads of everything, and `parent.changed` leaves out what is below unchanged parents"
    if deletes.detect == "sweep" and cursor is not None and cursor.bounded:
        yield ("deletes", "detect"), "a sweep needs reads of everything, and the cursor's `start` leaves out what is older"
    if deletes.detect == "reread" and (cursor is None or cursor.type != "time" or not cursor.lookback):
        yield ("deletes", "detect"), "nothing is read again: `reread` needs a cursor of times with a `lookback`"
    if deletes.detect == "reread" and stream.in_parts and not stream.leading_key:
        yield ("key",), "`reread` needs a key that begins with the parent or partition: compute it, as {partition.region}"


def _dropped(stream: Stream) -> Iterator[tuple[Place, str]]:
    """Fields that are dropped and yet needed."""
    needed = (*stream.key_fields, *((stream.cursor.field,) if stream.cursor else ()))
    for number, path in enumerate(stream.drop):
        if path in needed:
            yield ("drop", number), "the key and the cursor are read behind this: they are to be kept"


def _paging(stream: Stream) -> Iterator[tuple[Place, str]]:
    """Tokens of pages that have no place to go to."""
    asked: list[tuple[Place, Reading]] = [((), stream), *([(("later",), stream.later)] if stream.later else [])]
    for place, asking in asked:
        paging = asking.paging
        slot = "page" in names_in(asking.path)
        into = paging.into if isinstance(paging, Placed) else "body" if paging.type == "graphql" else "query"
        if place and "paging" not in asking.model_fields_set:
            continue
        if slot and into != "path":
            yield (*place, "path"), "{page} has no value unless the paging is `into: path`"
        if into == "path" and not slot:
            yield (*place, "paging", "into"), "the path has no {page} for the token"
        if into == "path" and getattr(paging, "first", 0) is None:
            yield (*place, "paging", "first"), "the path needs something in the token's place on the first page"
        if into == "body" and asking.body is None and asking.method in (None, "GET"):
            yield (*place, "paging", "into"), "the request has no body: write `body`, or `method: POST`"


def _parts(source: Source, at: Place, stream: Stream) -> Iterator[tuple[Place, str]]:
    """Parents and lists that are not there, or cannot be read as they are asked for."""
    others = {other.name: other for other in source.streams}
    parent = stream.parent
    if parent is not None:
        found = others.get(parent.stream)
        if found is not None and found.found is not None:
            yield (*at, "parent", "stream"), f"{parent.stream!r} stands for many streams, none of which can be meant here"
        elif found is None:
            yield (*at, "parent", "stream"), f"there is no stream {parent.stream!r}{nearest(parent.stream, others)}"
        elif _is_own_parent(stream, others):
            yield (*at, "parent", "stream"), "is the stream itself, or one that it is the parent of"
        else:
            if parent.changed and not (_has_times(found) or (found.changes is not None and not found.in_parts)):
                yield (*at, "parent", "changed"), f"{parent.stream!r} has no cursor of times and no token that tells which have changed"
            if parent.listed and len(found.key_fields) != 1:
                yield (*at, "parent", "listed"), f"the key of {parent.stream!r} is not one field"
        yield from _list_of(source, (*at, "parent", "listed"), parent.listed)
    for name, partition in stream.partitions.items():
        yield from _list_of(source, (*at, "partitions", name, "variable"), partition.variable)
        if partition.stream is not None:
            yield from _values_of(others, (*at, "partitions", name), stream, partition)


def _values_of(others: Mapping[str, Stream], place: Place, stream: Stream, partition: Partition) -> Iterator[tuple[Place, str]]:
    """Streams of values that are not there, or cannot be read before this one."""
    found = others.get(partition.stream or "")
    if found is None or found.found is not None:
        yield (*place, "stream"), f"there is no stream {partition.stream!r}{nearest(partition.stream or '', others)}"
    elif stream.name in _read_before(found, others):
        yield (*place, "stream"), "is the stream itself, or one that is read for its records"
    elif partition.field is None and len(found.key_fields) != 1:
        yield (*place, "field"), f"the key of {partition.stream!r} is not one field: say which has the values"


def _read_before(stream: Stream, others: Mapping[str, Stream]) -> set[str]:
    """The stream, and all that are read before it."""
    found, waiting = set[str](), [stream.name]
    while waiting:
        name = waiting.pop()
        if name in found or name not in others:
            continue
        found.add(name)
        one = others[name]
        waiting += [*([one.parent.stream] if one.parent else []), *(entry.stream for entry in one.partitions.values() if entry.stream)]
    return found


def _finding(source: Source, at: Place, stream: Stream) -> Iterator[tuple[Place, str]]:
    """Streams that are found by others that are not there."""
    if stream.found is None:
        return
    others = {other.name: other for other in source.streams if other.found is None}
    if stream.found.stream not in others:
        yield (*at, "found", "stream"), f"there is no stream {stream.found.stream!r}{nearest(stream.found.stream, others)}"
    yield from _list_of(source, (*at, "found", "variable"), stream.found.variable)


def _has_times(stream: Stream) -> bool:
    return stream.cursor is not None and stream.cursor.type == "time"


def _is_own_parent(stream: Stream, others: Mapping[str, Stream]) -> bool:
    if stream.parent is not None and stream.parent.stream in others and stream.name in _read_before(others[stream.parent.stream], others):
        return True
    seen = {stream.name}
    parent = stream.parent
    while parent is not None:
        if parent.stream in seen or parent.stream not in others:
            return parent.stream in seen
        seen.add(parent.stream)
        parent = others[parent.stream].parent
    return False


def _list_of(source: Source, place: Place, variable: str | None) -> Iterator[tuple[Place, str]]:
    if variable is None:
        return
    declared = source.variables.get(variable)
    if declared is None:
        yield place, f"there is no variable {variable!r}{nearest(variable, source.variables)}"
    elif declared.type != "list":
        yield place, f"the variable {variable!r} is no list: give it `type: list`"


def source_mistakes(source: Source) -> Iterator[tuple[Place, str]]:
    """Placeholders that name nothing, and those that may have no value where one is needed; parents and lists that are not there."""
    for where in ("host", "headers", "hosts", "open_hosts"):
        yield from _unknown(source, (where,), getattr(source, where), set(source.variables))
    for number, stream in enumerate(source.streams):
        at: Place = ("streams", number)
        known = set(source.variables) | _names_of(stream)
        for place, asking in _asked_by(at, stream):
            for word in _ASKING:
                yield from _unknown(source, (*place, word), _plain(getattr(asking, word)), known)
            yield from _unbounded(stream, place, asking)
        yield from _unknown(source, (*at, "compute"), {name: said for name, said in stream.compute.items() if any(names_in(said))}, known)
        yield from _parts(source, at, stream)
        yield from _finding(source, at, stream)
        if stream.searches and source.rate_limit.search is None:
            yield (*at, "searches"), "there is no budget for them: say by `rate_limit.search` how many there may be"
        for nth, rule in enumerate(stream.filters):
            yield from _list_of(source, (*at, "filters", nth, "variable"), rule.variable)
        if stream.cursor is not None:
            yield from _unknown(source, (*at, "cursor", "start"), stream.cursor.start, set(source.variables))
            if stream.cursor.windows is not None:
                yield from _unknown(source, (*at, "cursor", "windows", "step"), stream.cursor.windows.step, set(source.variables))


def _asked_by(at: Place, stream: Stream) -> Iterator[tuple[Place, Asking]]:
    """The requests of a stream, with their places."""
    yield at, stream
    if stream.later is not None:
        yield (*at, "later"), stream.later
    if stream.changes is not None and stream.changes.first is not None:
        yield (*at, "changes", "first"), stream.changes.first
    if stream.download is not None:
        yield (*at, "download"), stream.download


def _names_of(stream: Stream) -> set[str]:
    """What a stream's placeholders may begin with, besides the source's variables."""
    found = {"job", "fields", "page", "item"} | ({"parent"} if stream.parent else set())
    found |= {f"partition.{name}" for name in stream.partitions}
    found |= ({"changes"} if stream.changes else set()) | ({"found"} if stream.found else set())
    return found | {"start", "end"} if stream.cursor else found


def _unknown(source: Source, place: Place, value: Any, known: set[str]) -> Iterator[tuple[Place, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _unknown(source, (*place, str(_INNER.get(key, key))), inner, known)
        return
    for name in dict.fromkeys(names_in(value)):
        root = name.partition(".")[0]
        if root not in known and name not in known:
            near = nearest(name, known) or "; declare it in `variables`"
            yield place, f"{{{name}}} names nothing{near}"


def _unbounded(stream: Stream, place: Place, asking: Asking) -> Iterator[tuple[Place, str]]:
    if stream.cursor is None or stream.cursor.start is not None:
        return
    for word in ("path", "host"):
        if {"start", "end"}.intersection(names_in(getattr(asking, word))) and place[-1] != "later":
            yield (*place, word), "the first read has no bound to put there: say where it begins by `start` of the cursor"


def _asks_for_changes(stream: Stream) -> bool:
    asked = [stream, *([stream.later] if stream.later else [])]
    return any("start" in names_in(_plain(getattr(asking, word))) for asking in asked for word in _ASKING)


def _fields(stream: Stream) -> Iterator[tuple[Place, str]]:
    """Fields that no request asks for, and chunks that no paging keeps apart."""
    named = any("fields" in names_in(_plain(getattr(stream, word))) for word in _ASKING)
    if (stream.fields or stream.field_list is not None) and not named:
        place = "fields" if stream.fields else "field_list"
        yield (place,), "no request asks for them: write {fields} where the source wants their names"
    if named and not stream.fields and stream.field_list is None:
        yield ("fields",), "{fields} has no value: list them here, or say by `field_list` where the source does"
    chunked = stream.field_list is not None and stream.field_list.chunk is not None
    if chunked and stream.paging.type in ("next_url", "link_header", "odata"):
        yield ("field_list", "chunk"), "the address of a next page asks for the same fields again: such paging takes no chunks"
    if chunked and not stream.key_fields:
        yield ("field_list", "chunk"), "records that come in chunks are put together by their key, which must be fields"
    if chunked and (stream.response.by_rows or stream.job is not None):
        yield ("field_list", "chunk"), "a file comes in one piece: it takes no chunks"


def _methods(stream: Stream) -> Iterator[tuple[Place, str | None]]:
    if stream.body is not None:
        yield ("method",), stream.method
    if stream.later is not None and stream.later.body is not None:
        yield ("later", "method"), stream.later.method


def _plain(value: Any) -> Any:
    """A body as a map of its words; a query of GraphQL has braces of its own."""
    return value.model_dump(exclude={"graphql"}, exclude_none=True) if hasattr(value, "model_dump") else value
