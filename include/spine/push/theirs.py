"""Their side as we have read it: the newest version of each record of the stream that reads the object, by key and by id."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from spine.core.names import bronze_table, connection_id
from spine.lake.newest import newest_records
from spine.push.comparing import Side
from spine.push.destination import Destination
from spine.push.ends import End
from spine.push.rows import loaded
from spine.push.values import key_text, moment
from spine.sources.reading import lookup


@dataclass(frozen=True)
class Read:
    """A record as it was read, and when."""

    side: Side
    key: str | None
    read_at: datetime


@dataclass
class Theirs:
    """All of them. `found` is False where the object is no stream of ours, or was never read: then nobody knows what is there."""

    by_key: dict[str, Read] = field(default_factory=dict)
    by_id: dict[str, Read] = field(default_factory=dict)
    doubles: int = 0

    @property
    def found(self) -> bool:
        """Whether anything is known."""
        return bool(self.by_id)

    def of(self, key: str | None, record_id: str) -> Read | None:
        """The record of that id, else the living one of that key, else the deleted one of that id."""
        found = self.by_id.get(record_id)
        if found is not None and not found.side.deleted:
            return found
        return (self.by_key.get(key) if key is not None else None) or found

    def living(self) -> Iterator[Read]:
        """All that are not deleted, each key once."""
        yield from self.by_key.values()


def read_theirs(end: End, destination: Destination, tenant: str, modified: str | None = None) -> Theirs:
    """What Bronze holds of an end; nothing where it is no source of ours. Raises LakeError."""
    theirs = Theirs()
    if end.source is None or end.stream is None:
        return theirs
    for chunk in newest_records(bronze_table(end.source.source, end.stream.name), tenant, connection_id(end.source.source, tenant)):
        for one in chunk:
            record = loaded(one.payload)
            fields = {common: lookup(record, destination.path(own)) for common, own in end.names.items()}
            changed = moment(lookup(record, destination.path(modified))) if modified else moment(one.cursor)
            side = Side(fields, one.record_id, changed, one.cursor, one.deleted)
            keys = [lookup(record, destination.path(name)) for name in end.keys]
            read = Read(side, None if one.deleted else key_text(keys, folds=destination.folds), one.emitted_at)
            theirs.by_id[one.record_id] = read
            if read.key is not None and read.key in theirs.by_key:
                theirs.doubles += 1  # the one with the smaller id counts, whenever it is read
            elif read.key is not None:
                theirs.by_key[read.key] = read
    return theirs
