"""Sends the changes of a run and sees that they have arrived.

A change is in the journal as `sending` before its first byte leaves. Whatever is found so, of a process that died, is looked up by its key
before it is sent again; so is each record that would be made new, since somebody may have made it meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from spine.control import push_conflicts, pushes
from spine.control.database import TenantDatabase
from spine.control.pushes import GONE, Change, Op, Settled, Wanted, Which
from spine.core.failpoints import failpoint
from spine.core.screen import logger
from spine.push.comparing import Side, compare
from spine.push.destination import Destination, Held, Outcome
from spine.push.ends import End
from spine.push.spec import Push
from spine.push.values import same, written_alike

_log = logger(__name__)
_SIDES: tuple[Which, ...] = ("destination", "source")
_OPS: tuple[Op, ...] = ("create", "update", "delete")
_TRIES = 3  # in one run, of what the system says may pass another time
_PAUSE = 2.0  # seconds before the second time, twice that before the third
LOST = "NOT_FOUND_AFTER_WRITE"


@dataclass
class Sending:
    """The sending of one run; `open` gives what writes to a side, `renew` keeps the push's lock."""

    push: Push
    database: TenantDatabase
    run_id: str
    ends: Mapping[Which, End]
    open: Callable[[Which], Destination]
    sleep: Callable[[float], None]
    renew: Callable[[], object] = lambda: None

    def send(self) -> None:
        """Send all that is planned. Raises ConnectorError where the system as a whole fails; what has arrived by then is known.

        Call it again after any failure.
        """
        self.recover()
        for attempt in range(1, _TRIES + 1):
            if attempt > 1:
                if not self._changes(Wanted(("planned",), limit=1)):
                    return
                self.sleep(_PAUSE * 2 ** (attempt - 2))
            for side in _SIDES:
                for op in _OPS:
                    self._send_all(side, op, attempt)

    def recover(self) -> None:
        """Find out about changes on whose way a process died."""
        for side in _SIDES:
            while batch := self._changes(Wanted(("sending",), side)):
                destination = self.open(side)
                for part in _parts(batch, destination.most):
                    self._find_out(destination, part)

    def _find_out(self, destination: Destination, batch: Sequence[Change]) -> None:
        held = destination.look(batch) if destination.looks else {}
        found: list[Settled] = []
        for change in batch:
            if not destination.looks:
                # Changes and deletes may be sent twice; what is made new carries a key by which the system knows it again.
                found.append(Settled(change, "planned", tries=0))
            elif self._stands(change, held.get(change.number)):
                found.append(self._arrived(change, held.get(change.number)))
            else:
                found.append(Settled(change, "planned", tries=0))
        self._settle(found)

    def _send_all(self, side: Which, op: Op, attempt: int) -> None:
        while batch := self._changes(Wanted(("planned",), side, op, tries=attempt, limit=5000)):
            destination = self.open(side)
            for part in _parts(batch, destination.size(op)):
                due = self._looked_at(destination, part)
                for kind in _OPS:
                    same_kind = [change for change in due if change.op == kind]
                    if same_kind:
                        self._send(destination, same_kind)

    def _looked_at(self, destination: Destination, batch: Sequence[Change]) -> list[Change]:
        """Those that still have to be sent, as what stands there now makes of them."""
        if not destination.looks or not (destination.whole or batch[0].op == "create" or any(change.tries for change in batch)):
            return list(batch)
        held = destination.look(batch)
        due: list[Change] = []
        done: list[Settled] = []
        for change in batch:
            there = held.get(change.number)
            if self._stands(change, there):
                done.append(self._arrived(_not_ours(change), there))
            elif change.op == "update" and there is None and destination.whole:
                due.append(self._made_again(change))
            elif change.op == "update" and there is None:
                done.append(Settled(change, "failed", error_code=GONE, error_message="the record is no more there"))
            elif change.op == "create" and there is not None:
                met = self._met(change, there)
                if isinstance(met, Change):
                    due.append(met)
                else:
                    done.append(met)
            else:
                due.append(_with_before(change, there) if destination.whole and change.op == "update" else change)
        self._settle(done)
        was = {change.number: change for change in batch}
        pushes.rewrite(self.database, self.push.name, self.run_id, [change for change in due if change is not was[change.number]])
        return due

    def _made_again(self, change: Change) -> Change:
        """A row that somebody has removed from a table which is ours to fill: all of it is written anew."""
        known = pushes.records(self.database, self.push.name, [change.record_key])
        fields = {**(known[0]["sent"] if known else {}), **change.match, **change.fields}
        return replace(change, op="create", before=None, fields=fields, sent=fields, held=fields)

    def _met(self, change: Change, there: Held) -> Change | Settled:
        """A record that was to be made and is there already: what of it is changed, by the rules of conflicts."""
        end = self.ends[change.side]
        if change.side == "source":
            mine, its = end.common(there.fields), end.common(change.fields)
            verdict = compare(self.push, Side(mine), Side(its), None)
            wanted = verdict.pull
        else:
            verdict = compare(self.push, Side(change.fields), Side(end.common(there.fields)), None)
            wanted = {} if self.push.destination.operation in ("create", "append") else verdict.push
        if verdict.conflicts:
            found = [(change.record_key, one.field, one.ours, one.theirs) for one in verdict.conflicts]
            push_conflicts.note(self.database, self.push.name, self.run_id, found)
        met = replace(change, remote_id=there.id) if change.side == "destination" else replace(change, local_id=there.id)
        if not wanted:
            agreed = {name: pair for name, pair in verdict.agreed.items()}
            kept = replace(
                _not_ours(met), sent={name: pair[0] for name, pair in agreed.items()}, held={name: pair[1] for name, pair in agreed.items()}
            )
            return Settled(kept, "confirmed", there.id, cursor=there.cursor)
        own = end.own(wanted)
        before = {name: there.fields.get(name) for name in own}
        return replace(met, op="update", fields=own, before=before, sent=wanted, held=wanted)

    def _send(self, destination: Destination, batch: Sequence[Change]) -> None:
        pushes.mark_sending(self.database, self.push.name, self.run_id, batch)
        failpoint("push_sending")
        outcomes = destination.send(batch)
        failpoint("push_sent")
        self._settle([self._ended(destination, change, outcome) for change, outcome in zip(batch, outcomes, strict=True)])
        failpoint("push_settled")

    @staticmethod
    def _ended(destination: Destination, change: Change, outcome: Outcome) -> Settled:
        if outcome.ok:
            return Settled(change, "sent", outcome.id)
        again = outcome.retryable and change.tries + 1 < _TRIES
        words = destination.clean(outcome.message)
        return Settled(change, "planned" if again else "failed", error_code=outcome.code, error_message=words, retryable=outcome.retryable)

    def confirm(self) -> None:
        """See that what the system has taken is there, and remember what both sides hold. Raises ConnectorError. Safe to call again."""
        for side in _SIDES:
            while batch := self._changes(Wanted(("sent",), side, limit=1000)):
                destination = self.open(side)
                for part in _parts(batch, destination.most):
                    held = destination.look(part) if destination.looks else {}
                    self._settle([self._seen(destination, change, held.get(change.number)) for change in part])
                    failpoint("push_confirmed")

    def _seen(self, destination: Destination, change: Change, there: Held | None) -> Settled:
        if not destination.looks:
            return Settled(change, "confirmed")
        if (there is None) != (change.op == "delete"):
            return Settled(change, "failed", error_code=LOST, error_message="the system said yes, and the record is not as it said",
                           retryable=True)  # fmt: skip
        return self._arrived(change, there)

    def _arrived(self, change: Change, there: Held | None) -> Settled:
        """Confirmed, with what the system has made of the values. Two ways: what is not ours in another spelling is their own change."""
        if there is None:
            return Settled(change, "confirmed")
        end = self.ends[change.side]
        seen = end.common({name: there.fields.get(name) for name in change.fields})
        wanted = end.common(change.fields)
        kept = {name: value for name, value in seen.items() if not self.push.two_way or written_alike(wanted.get(name), value)}
        if change.side == "source":
            change = replace(change, sent={**change.sent, **kept})
            return Settled(change, "confirmed", there.id, cursor=there.cursor)
        return Settled(change, "confirmed", there.id, kept, there.cursor)

    @staticmethod
    def _stands(change: Change, there: Held | None) -> bool:
        """Whether the change is there already."""
        if change.op == "delete" or there is None:
            return change.op == "delete" and there is None
        return all(same(value, there.fields.get(name)) for name, value in change.fields.items())

    def _changes(self, wanted: Wanted) -> list[Change]:
        return pushes.changes(self.database, self.push.name, self.run_id, wanted)

    def _settle(self, found: Sequence[Settled]) -> None:
        self.renew()
        if found:
            pushes.settle(self.database, self.push.name, self.run_id, found)


def _not_ours(change: Change) -> Change:
    """A record that was there before anything was sent: it was not made by this run, so that an undo does not delete it."""
    return replace(change, op="update") if change.op == "create" and not change.tries else change


def _with_before(change: Change, there: Held | None) -> Change:
    return replace(change, before={name: there.fields.get(name) for name in change.fields} if there else None)


def _parts(batch: Sequence[Change], most: int) -> Iterator[Sequence[Change]]:
    for at in range(0, len(batch), most):
        yield batch[at : at + most]
