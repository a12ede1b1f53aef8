"""What has to be sent: our record, theirs, and what both held when they last agreed, field by field. No I/O.

A side has changed a field if it differs from what that side held then; what the other side made of our value (small letters, no spaces) is
no change. Nothing that we have never written is overwritten by an empty value of ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from spine.push.spec import FieldDirection, Push
from spine.push.values import empty, same

Who = Literal["both", "ours", "theirs"]


@dataclass(frozen=True)
class Side:
    """A record as one side has it, by the destination's names of fields. `cursor` is the place of this version in the order of changes."""

    fields: Mapping[str, Any]
    id: str = ""
    modified: datetime | None = None
    cursor: str | None = None
    deleted: bool = False


@dataclass(frozen=True)
class Known:
    """What both sides held when they last agreed: `sent` is ours, `held` theirs. `refused` is the digest of values that they refused."""

    key: str
    local_id: str = ""
    remote_id: str = ""
    sent: Mapping[str, Any] = field(default_factory=dict)
    held: Mapping[str, Any] = field(default_factory=dict)
    sent_cursor: str | None = None
    held_cursor: str | None = None
    deleted: bool = False
    refused: str = ""
    confirmed_at: datetime | None = None

    @property
    def ours(self) -> Side:
        """Our record after the last write."""
        return Side(self.sent, self.local_id, cursor=self.sent_cursor)

    @property
    def theirs(self) -> Side:
        """Their record after the last write."""
        return Side(self.held, self.remote_id, cursor=self.held_cursor, deleted=self.deleted)


@dataclass(frozen=True)
class Conflict:
    """A field that both sides have changed and a person decides about."""

    field: str
    ours: Any
    theirs: Any


@dataclass(frozen=True)
class Verdict:
    """Fields that go to them, fields that come to us, fields on which both agree though nobody remembers it, and what a person decides."""

    push: dict[str, Any] = field(default_factory=dict)
    pull: dict[str, Any] = field(default_factory=dict)
    agreed: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    conflicts: tuple[Conflict, ...] = ()


def compare(push: Push, ours: Side, theirs: Side | None, known: Known | None, decided: Mapping[str, str] | None = None) -> Verdict:
    """What of our record has to be sent, and what of theirs comes back.

    `theirs` is None where nobody knows whether there is a record; `decided` are a person's words by field: source or target.
    """
    there = theirs.fields if theirs is not None and not theirs.deleted else (known.held if known else {})
    sending, pulling, agreed, conflicts = {}, {}, {}, []
    for name, direction in push.destination.directions.items():
        mine, its = ours.fields.get(name), there.get(name)
        if same(mine, its):
            if known is None or not (same(known.sent.get(name), mine) and same(known.held.get(name), its) and name in known.sent):
                agreed[name] = (mine, its)
            continue
        changed = _changed(name, mine, its, known)
        if changed is None:
            continue  # their own way of writing what we sent
        first = known is None or name not in known.sent
        who = "keep" if direction == "create" else _right(push, direction, changed, ours, theirs, first=first, mine=mine, its=its)
        if who == "ask":
            who = (decided or {}).get(name) or "ask"
        if who == "ask":
            conflicts.append(Conflict(name, mine, its))
        elif who == "source":
            sending[name] = mine
        elif push.two_way:
            pulling[name] = its
    return Verdict(sending, pulling, agreed, tuple(conflicts))


def _changed(name: str, mine: Any, its: Any, known: Known | None) -> Who | None:
    """Who has changed a field since both agreed; None if nobody has."""
    if known is None or name not in known.sent:
        return "both"
    ours, theirs = not same(mine, known.sent[name]), not same(its, known.held.get(name))
    if not ours and not theirs:
        return None
    return "both" if ours and theirs else "ours" if ours else "theirs"


def _right(
    push: Push, direction: FieldDirection, changed: Who, ours: Side, theirs: Side | None, *, first: bool, mine: Any, its: Any
) -> str:
    """Whose value counts: source, target, keep (both stay as they are), or ask."""
    if direction in ("push", "pull"):
        if first and empty(mine if direction == "push" else its):
            return "keep"
        return "source" if direction == "push" else "target"
    if first or changed == "both":
        if empty(mine) and first:
            return "target" if push.two_way else "keep"  # an empty field of ours was never written there
        if empty(its) and first:
            return "source"
        return _by_rule(push, ours, theirs)
    if changed == "ours":
        return "source"
    return "target" if push.two_way else _by_rule(push, ours, theirs)


def _by_rule(push: Push, ours: Side, theirs: Side | None) -> str:
    rule = push.conflict_resolution
    if rule == "manual":
        return "ask"
    if rule == "latest_wins":
        mine, its = ours.modified, theirs.modified if theirs else None
        if mine is None or its is None:
            return "source"
        return "target" if its > mine else "source"
    return "source" if rule == "source_wins" else "target"


def current(read: Side | None, base: Side | None, *, read_at: datetime | None, written_at: datetime | None) -> Side | None:
    """A record as it is now: as it was read, or, where that was before our last write there, as it stood after that (`base`).

    The order of changes tells, whenever either was read; without it the time of reading does.
    """
    if read is None or base is None:
        return read
    if read.cursor is not None and base.cursor is not None:
        old = read.cursor < base.cursor
    else:
        old = read_at is not None and written_at is not None and read_at <= written_at
    return base if old else read
