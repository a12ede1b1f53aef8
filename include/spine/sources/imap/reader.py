"""Walks through the folders of a mailbox: what is new, whose flags have changed, and what is gone since the last run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from spine.core import clock, declarations
from spine.core.errors import ConfigError, DeleteSweepRefused
from spine.core.placeholders import Absent, fill
from spine.core.settings import settings
from spine.sources.access import Access
from spine.sources.columns import Records
from spine.sources.imap.folders import Folder, Known, Numbers
from spine.sources.imap.messages import described
from spine.sources.imap.server import LARGEST, Message, Server
from spine.sources.reading import Page, Record, State, Window, make_record, record_id
from spine.sources.recording import Recorder
from spine.sources.rest.spans import first_moment
from spine.sources.spec import Source, Stream
from spine.sources.variables import typed_values

READS = frozenset({
    "object", "fields", "required_fields", "cursor.field", "cursor.start", "filters", "flatten", "rename", "compute", "personal",
    "paging.size",
})  # fmt: skip
DETECTS = frozenset({"sweep"})
KEY = frozenset({"folder", "uidvalidity", "uid"})
_BODY = frozenset({"text", "text_cut", "attachments"})  # fields for which a message is read whole
_GROUP = 8_000_000  # bytes of messages that are asked for at once
_PAGE = 500


def mistakes(stream: Stream) -> Iterator[tuple[declarations.Place, str]]:
    """What is wrong with a stream of messages: places inside it, and why."""
    if stream.deletes.detect == "sweep" and (set(stream.key_fields) != KEY or stream.rename or stream.case != "as_sent"):
        yield ("key",), f"a message that is gone is known by {', '.join(sorted(KEY))} alone: that is the key where `detect: sweep` is said"
    lacking = [
        name
        for name in (*stream.key_fields, *([stream.cursor.field] if stream.cursor else []))
        if name.partition(".")[0] not in stream.fields
    ]
    if stream.fields and lacking:
        yield ("fields",), f"{', '.join(lacking)} is missing, which the key or the cursor names"
    if stream.cursor is not None and stream.cursor.field != "received_at":
        yield ("cursor", "field"), "messages are ordered by `received_at`, when the server got them; a sender's clock says anything"


def source_mistakes(source: Source) -> Iterator[tuple[declarations.Place, str]]:
    """What is wrong with a whole source: places in its file, and why."""
    if source.auth.type == "none":
        yield ("auth",), "a mailbox is logged in to by `{type: username_password}`, or by a token as of `oauth2`"


@dataclass(frozen=True)
class Reader:
    """Reads the folders of one mailbox."""

    source: Source
    access: Access

    def read(self, stream: Stream, state: State, window: Window) -> Iterator[Page]:
        """Pages of what has changed since the saved state, or of all messages, by one connection that only reads."""
        with Server(self.access) as server:
            typed = typed_values(self.source, self.access.extra) if stream.cursor is not None else {}
            first = first_moment(stream.cursor, window, typed) if stream.cursor is not None else None
            yield from _Reading(server, self.access, stream, state, window).pages(first)


class _Reading:
    """One reading of one stream. Its token is what is known so far, as the cursor is: to go on means to read what is not known."""

    def __init__(self, server: Server, access: Access, stream: Stream, state: State, window: Window) -> None:
        self._server, self._access, self._stream, self._window = server, access, stream, window
        anew = window.full or window.backfill
        self._known = Known.parse(state.token or (None if anew else state.cursor))
        if window.full and state.token is None and state.cursor:
            self._known.former = [*Known.parse(state.cursor).folders.items()]
        self._recorder = Recorder(stream, window if window.backfill else Window(full=True), None, access.values, access.hashed)
        self._whole = not stream.fields or bool(_BODY & set(stream.fields))
        self._size = min(stream.paging.size if "paging" in stream.model_fields_set else settings().batch_size, _PAGE)
        self._now: dict[str, Numbers] = {}
        self._notes: list[str] = []

    def pages(self, first: datetime | None) -> Iterator[Page]:
        """What is new in each folder, then what is gone. `first` is where a first read begins."""
        if not self._known.folders and first is not None and not self._window.backfill:
            self._known.since = clock.to_text(first)
        for name in self._server.folders(_patterns(self._stream, self._access)):
            yield from self._folder(name)
        if not self._window.backfill:
            yield from self._gone()
        yield Page((), None, self._known.told(), self._taken_notes())

    def _folder(self, name: str) -> Iterator[Page]:
        opened = self._server.examine(name)
        entry = self._known.folders.get(name)
        if entry is not None and entry.validity != opened.validity:
            self._notes.append(
                f"folder {name} has another UIDVALIDITY than before ({entry.validity}, now {opened.validity}): it is read anew"
            )
            self._known.former.append((name, entry))
            entry = None
        if entry is None:
            entry = self._known.folders[name] = Folder(opened.validity, marked=opened.changed)
        now = self._now[name] = self._server.uids()
        if entry.marking is None and opened.changed is not None and entry.marked not in (None, opened.changed):
            entry.marking, entry.reached = opened.changed, 0
        wanted = np.concatenate((self._changed(entry, now), self._new(entry, now)))
        for start in range(0, len(wanted), self._size):
            yield from self._page_of(name, entry, wanted[start : start + self._size])
        entry.marked, entry.marking, entry.reached = entry.marking or opened.changed, None, 0

    def _changed(self, entry: Folder, now: Numbers) -> Numbers:
        """Known messages whose flags have changed and which were not read since."""
        if entry.marking is None or entry.marked is None:
            return entry.known[:0]
        found = np.intersect1d(np.intersect1d(self._server.uids(changed=entry.marked + 1), entry.known), now)
        return found[found > entry.reached]

    def _new(self, entry: Folder, now: Numbers) -> Numbers:
        new = now[now >= entry.following]
        day, window = timedelta(days=1), self._window  # days are the server's, of whatever zone
        if window.backfill and len(new):
            after, before = (window.start - day if window.start else None), (window.end + 2 * day if window.end else None)
            return np.intersect1d(new, self._server.uids(since=after, before=before))
        if self._known.since is not None and len(new):
            return np.intersect1d(new, self._server.uids(since=clock.parse(self._known.since) - day))
        return new

    def _page_of(self, name: str, entry: Folder, uids: Numbers) -> Iterator[Page]:
        """Pages of some messages: as many as may be asked for at once."""
        group: list[Message] = []
        waiting = list(self._server.told([int(uid) for uid in uids]))
        for number, message in enumerate(waiting):
            group.append(message)
            if number + 1 == len(waiting) or sum(map(self._weight, (*group, waiting[number + 1]))) > _GROUP:
                yield self._page(name, entry, group)
                group = []

    def _weight(self, message: Message) -> int:
        return message.size if self._read_whole(message) else 0

    def _read_whole(self, message: Message) -> bool:
        return self._whole and message.size <= LARGEST

    def _page(self, name: str, entry: Folder, group: Sequence[Message]) -> Page:
        bodies: dict[int, bytes] = {}
        for whole in (True, False):
            bodies |= self._server.bodies([one.uid for one in group if self._read_whole(one) is whole], whole=whole)
        self._access.allowance.took(sum(map(len, bodies.values())))
        self._access.allowance.turned()
        items: list[Any] = []
        lost: list[Record] = []
        for one in group:
            try:
                items.append(self._item(name, entry, one, bodies[one.uid]))
            except KeyError:
                lost.append(self._lost(name, entry, one, "the server cannot give the message"))
            except Exception as error:  # whatever it is, one letter of a stranger must not stop the folder
                lost.append(self._lost(name, entry, one, f"the message cannot be read: {type(error).__name__}"))
        records = self._recorder.records(items)
        entry.read(np.array([one.uid for one in group], np.int64))
        told = self._known.told()
        return Page(Records.joined(records, Records.of(lost)) if lost else records, told, told, self._taken_notes())

    def _item(self, name: str, entry: Folder, message: Message, body: bytes) -> Any:
        whole = self._read_whole(message)
        item = self._place(name, entry, message.uid) | {
            "received_at": _written(message), "sent_at": None, "size": message.size,
            "flags": list(message.flags), "seen": "\\Seen" in message.flags,
            **described(body, whole=whole),
        }  # fmt: skip
        item["sent_at"] = _sent(item["date"], message)
        if self._whole and not whole:
            item |= {"text": None, "text_cut": True, "attachments": None}
        return {field: item.get(field) for field in self._stream.fields} if self._stream.fields else item

    def _lost(self, name: str, entry: Folder, message: Message, why: str) -> Record:
        """A message that is there and cannot be read: it goes to quarantine under its own key."""
        moment = _written(message)
        item = self._place(name, entry, message.uid) | {"received_at": moment, "size": message.size, "flags": list(message.flags)}
        return make_record(self._stream, item, cursor=moment, mistake=why)

    def _place(self, name: str, entry: Folder, uid: int) -> dict[str, Any]:
        return {"folder": name, "uidvalidity": entry.validity, "uid": uid}

    def _gone(self) -> Iterator[Page]:
        """What was known and is there no more. Raises DeleteSweepRefused if that is too much to be believed."""
        self._require_few()
        for name, entry in [*self._known.former, *self._known.folders.items()]:
            uids = self._missing(name, entry)
            for start in range(0, len(uids), self._size):
                part = uids[start : start + self._size]
                entry.known = np.setdiff1d(entry.known, part)
                yield self._deleted(name, entry, part)
        self._known.former = []
        self._known.folders = {name: one for name, one in self._known.folders.items() if name in self._now}

    def _missing(self, name: str, entry: Folder) -> Numbers:
        """What is there no more of what was known of a folder: all of it, if its UIDs mean nothing now."""
        same = name in self._now and self._known.folders[name].validity == entry.validity
        return np.setdiff1d(entry.known, self._now[name]) if same else entry.known

    def _require_few(self) -> None:
        """Of a folder whose UIDs mean nothing now, only those count as gone by which it has become smaller."""
        deletes, missing, before = self._stream.deletes, 0, 0
        former = {name for name, _ in self._known.former}
        for name, entry in [*self._known.former, *((name, one) for name, one in self._known.folders.items() if name not in former)]:
            anew = name in self._now and self._known.folders[name].validity != entry.validity
            missing += max(0, len(entry.known) - len(self._now[name])) if anew else len(self._missing(name, entry))
            before += len(entry.known)
        if deletes.detect == "sweep" and deletes.mode != "ignore" and missing > before * deletes.max_share:
            raise DeleteSweepRefused(
                f"{missing} of {before} messages are gone, more than {deletes.max_share:.0%}",
                hint="Check the mailbox and `object`; raise `deletes.max_share` in the source's file if they are really gone",
            )

    def _deleted(self, name: str, entry: Folder, uids: Numbers) -> Page:
        told, deletes = self._known.told(), self._stream.deletes
        if deletes.detect != "sweep" or deletes.mode == "ignore":
            return Page((), told, told)
        at = clock.to_text(self._window.end or clock.now())  # a UID that is gone does not come back
        names = [record_id(self._stream, self._place(name, entry, int(uid))) for uid in uids]
        return Page([Record(one or "", "delete", at, "{}", "") for one in names], told, told, self._taken_notes())

    def _taken_notes(self) -> tuple[str, ...]:
        found, self._notes = tuple(self._notes), []
        return found


def _written(message: Message) -> str | None:
    return clock.to_text(message.received) if message.received else None


def _sent(date: str | None, message: Message) -> str | None:
    """When it was written, by its sender's clock unless that is ahead by more than a day, or says nothing."""
    received = _written(message)
    if date is None or message.received is None or date <= clock.to_text(message.received + timedelta(days=1)):
        return date or received
    return received


def _patterns(stream: Stream, access: Access) -> list[str]:
    """The folders that are meant: one, or several with commas between them. Raises ConfigError."""
    try:
        found = fill(stream.object or "INBOX", access.values)
    except Absent as missing:
        raise ConfigError(f"the Connection has no {missing}, which `object` names", hint="Complete its extra") from None
    names = found if isinstance(found, list | tuple) else str(found).split(",")
    return [name for one in names if (name := str(one).strip())]
