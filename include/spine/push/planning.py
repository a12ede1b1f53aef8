"""Compares both sides record by record and writes what has to be done into the journal. Sends nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from spine.control import push_conflicts, pushes
from spine.control.database import TenantDatabase
from spine.control.pushes import Change, Which
from spine.push.comparing import Known, Side, Verdict, compare, current
from spine.push.destination import Destination
from spine.push.ends import End
from spine.push.rows import OurRow, our_rows
from spine.push.spec import Push
from spine.push.theirs import Read, Theirs, read_theirs
from spine.push.values import empty, key_text, same

_SHOWN = 20  # changes that a dry run shows
_SEVERAL = 500


@dataclass
class Comparison:
    """One comparison of a tenant's records; `run` works it through. With `dry` nothing is written, and `shown` has the first changes."""

    push: Push
    database: TenantDatabase
    run_id: str
    ends: Mapping[Which, End]
    theirs_end: Destination
    ours_end: Destination | None = None
    dry: bool = False
    renew: Callable[[], object] = lambda: None
    counts: Counter[str] = field(default_factory=Counter)
    shown: list[Change] = field(default_factory=list)
    _number: int = 0
    _seen: set[str] = field(default_factory=set)
    _read: set[str] = field(default_factory=set)
    _remote: set[str] = field(default_factory=set)
    _waiting: list[Change] = field(default_factory=list)

    def run(self) -> None:
        """Compare everything. Raises ConfigError, LakeError, ConnectorError."""
        theirs = read_theirs(self.ends["destination"], self.theirs_end, self.database.tenant, self.push.destination.modified)
        self.counts["ambiguous_there"] = theirs.doubles
        gone: list[OurRow] = []
        for chunk in our_rows(self.push, self.database.tenant, self.database, folds=self.theirs_end.folds):
            self._compare([row for row in chunk if not row.side.deleted], theirs)
            gone += (row for row in chunk if row.side.deleted)
        for at in range(0, len(gone), _SEVERAL):  # after all others: a record that was deleted and made again has its key from the new one
            self._compare(gone[at : at + _SEVERAL], theirs)
        if self.push.two_way:
            self._from_theirs(theirs)
        else:
            self._gone()
        if self.push.destination.operation == "overwrite":
            self._foreign()
        self._flush()

    # ours ----------------------------------------------------------------------------------------------------------------------------

    def _compare(self, rows: Sequence[OurRow], theirs: Theirs) -> None:
        self.renew()
        self._read.update(row.side.id for row in rows)
        known = self._known(rows)
        decided = push_conflicts.decided(self.database, self.push.name, [one.key for one in known.values()]) if known else {}
        agreed: list[tuple[Known, Verdict]] = []
        for row in rows:
            base = known.get(row.side.id) or known.get(f"key {row.key}")
            key = base.key if base else row.key
            if key is None:
                self.counts["without_key"] += not row.side.deleted
                continue
            if key in self._seen:
                self.counts["doubles"] += not row.side.deleted
                continue
            if row.side.deleted and base is None:
                continue
            self._seen.add(key)
            self.counts["rows"] += not row.side.deleted
            self.counts["sent_before"] += self.push.two_way and base is not None and not base.deleted  # one way, `_gone` counts them
            read = theirs.of(row.key, base.remote_id if base else "")
            if base is not None and read is not None and base.remote_id in theirs.by_id:
                base = replace(base, remote_id=read.side.id)  # another one if the former was deleted there and made again
            if read is not None:
                self._remote.add(read.side.id)
            verdict = self._judge(row, read, base or Known(key), base is not None, decided.get(key, {}))
            if verdict is not None and verdict.agreed:
                agreed.append((replace(base or Known(key), local_id=row.side.id, remote_id=_remote_id(base, read)), verdict))
        self._remember(agreed)

    def _known(self, rows: Sequence[OurRow]) -> dict[str, Known]:
        """What is known of rows: by `key …`, and by our id where the record has an id there, since its key may have changed."""
        keys = [row.key for row in rows if row.key is not None]
        found: dict[str, Known] = {}
        for record in pushes.records(self.database, self.push.name, keys, local_ids=[row.side.id for row in rows if row.side.id]):
            one = known_of(record)
            found[f"key {one.key}"] = one
            if one.local_id and one.remote_id:
                found[one.local_id] = one
        return found

    def _judge(
        self, row: OurRow, read: Read | None, known: Known, remembered: bool, decided: Mapping[str, tuple[str, Any, Any]]
    ) -> Verdict | None:
        base = known if remembered and not (known.refused and not known.sent) else None
        ours = current(row.side, base.ours if base else None, read_at=row.read_at, written_at=known.confirmed_at)
        theirs = current(
            read.side if read else None,
            base.theirs if base else None,
            read_at=read.read_at if read else None,
            written_at=known.confirmed_at,
        )
        assert ours is not None
        ours = replace(ours, id=row.side.id)
        if ours.deleted:
            self._ours_is_gone(known)
            return None
        if theirs is not None and theirs.deleted and base is not None and not base.deleted:
            self._theirs_is_gone(known, row)
            return None
        if (base is None or base.deleted) and (theirs is None or theirs.deleted):
            self._create(row, ours, known, base)
            return None
        if base is not None and base.deleted:
            base = None
        words = {
            name: word for name, (word, mine, its) in decided.items()
            if same(mine, ours.fields.get(name)) and same(its, (theirs.fields if theirs else known.held).get(name))
        }  # fmt: skip
        verdict = compare(self.push, ours, theirs, base, words)
        self._update(row, ours, theirs, known, verdict)
        return verdict

    def _create(self, row: OurRow, ours: Side, known: Known, base: Known | None) -> None:
        if self.push.destination.operation == "update":
            self.counts["absent"] += 1
            return
        if base is not None and base.deleted and not self.theirs_end.whole and not known.refused:
            self.counts["gone_there"] += 1  # somebody has deleted it there: it is not made again
            return
        directions = self.push.destination.directions
        fields = {name: value for name, value in ours.fields.items() if directions[name] != "pull" and not empty(value)}
        self._add(Change(0, "destination", "create", known.key, row.match, fields, None, fields, fields, row.side.id), known)

    def _update(self, row: OurRow, ours: Side, theirs: Side | None, known: Known, verdict: Verdict) -> None:
        there = theirs.fields if theirs is not None else known.held
        sending = dict(verdict.push)
        if self.push.sync_mode == "full":
            wanted = {name for name, way in self.push.destination.directions.items() if way in ("both", "push")} - set(verdict.pull)
            asked = {conflict.field for conflict in verdict.conflicts}
            sending |= {name: value for name, value in ours.fields.items() if name in wanted - asked and not empty(value)}
        mark = self.push.deletes
        if mark.field and mark.field not in ours.fields and same(known.held.get(mark.field), mark.value):
            sending[mark.field] = False if mark.value is True else None  # it is back
        if sending and self.push.destination.operation in ("create", "append"):
            self.counts["left"] += 1
            sending = {}
        remote = known.remote_id or (theirs.id if theirs else "")
        if sending:
            before = {name: there.get(name) for name in sending}
            match = row.match
            if not remote:  # its key there is the one that it was sent with
                match = {name: known.sent.get(name, value) for name, value in row.match.items()}
            self._add(Change(0, "destination", "update", known.key, match, sending, before, sending, sending, row.side.id, remote), known)
        if verdict.pull:
            self._pull(row.side.id, remote, known, verdict.pull, ours)
        if not sending and not verdict.pull:
            self.counts["unchanged"] += not verdict.conflicts
        self.counts["conflicts"] += len(verdict.conflicts)
        if verdict.conflicts and not self.dry:
            found = [(known.key, one.field, one.ours, one.theirs) for one in verdict.conflicts]
            push_conflicts.note(self.database, self.push.name, self.run_id, found)

    def _pull(self, local: str, remote: str, known: Known, fields: Mapping[str, Any], ours: Side) -> None:
        end = self.ends["source"]
        before = {name: ours.fields.get(name) for name in fields}
        match = end.own({key: ours.fields.get(key) for key in self.push.destination.keys})
        self._add(Change(0, "source", "update", known.key, match, end.own(fields), end.own(before), fields, fields, local, remote), known)

    # what only one side has ----------------------------------------------------------------------------------------------------------

    def _from_theirs(self, theirs: Theirs) -> None:
        """Records that only they have come to us; where ours is gone, theirs goes as `deletes` says."""
        for reads in _several(read for read in theirs.living() if read.side.id not in self._remote):
            found = pushes.records(self.database, self.push.name, [], remote_ids=[read.side.id for read in reads])
            known = {one.remote_id: one for one in map(known_of, found)}
            for read in reads:
                base = known.get(read.side.id)
                if base is None and read.key is not None and read.key not in self._seen:
                    self._create_here(read)

    def _create_here(self, read: Read) -> None:
        end, directions = self.ends["source"], self.push.destination.directions
        fields = {name: value for name, value in read.side.fields.items() if directions.get(name, "push") not in ("push", "create")}
        fields = {name: value for name, value in fields.items() if not empty(value)}
        assert read.key is not None
        self._seen.add(read.key)
        match = end.own({key: read.side.fields.get(key) for key in self.push.destination.keys})
        known = Known(read.key, remote_id=read.side.id)
        self._add(Change(0, "source", "create", read.key, match, end.own(fields), None, fields, fields, "", read.side.id), known)

    def _gone(self) -> None:
        """Records that we have sent and that are no more among ours.

        Bronze keeps days, not all records: of a stream, one is gone if Bronze says so, or has it with another key or filtered out.
        """
        for chunk in pushes.living(self.database, self.push.name):
            for known in map(known_of, chunk):
                self.counts["sent_before"] += 1
                read = self.push.source.connector is None or known.local_id in self._read
                if known.key not in self._seen and known.sent and read:
                    self._ours_is_gone(known)

    def _ours_is_gone(self, known: Known) -> None:
        mode = self.push.deletes
        if mode.mode == "ignore" or known.deleted or self.push.destination.operation == "append":
            self.counts["gone"] += 1
            return
        match = {name: known.sent.get(name) for name in self.push.destination.keys}
        if mode.mode == "hard_delete":
            change = Change(0, "destination", "delete", known.key, match, {}, dict(known.held), {}, {}, known.local_id, known.remote_id)
            self._seen.add(known.key)
            self._add(change, known)
        elif mode.field and not same(known.held.get(mode.field), mode.value):
            fields, before = {mode.field: mode.value}, {mode.field: known.held.get(mode.field)}
            self._add(
                Change(0, "destination", "update", known.key, match, fields, before, {}, fields, known.local_id, known.remote_id), known
            )
            self.counts["marked"] += 1

    def _theirs_is_gone(self, known: Known, row: OurRow) -> None:
        """Two ways: ours goes too, as `deletes` says. One way: it is not made again, unless the whole of it is ours."""
        if self.push.two_way and self.push.deletes.mode == "hard_delete":
            match = self.ends["source"].own(row.match)
            fields = self.ends["source"].own(row.side.fields)
            self._add(Change(0, "source", "delete", known.key, match, {}, fields, {}, {}, row.side.id, known.remote_id), known)
            return
        self.counts["gone_there"] += 1

    def _foreign(self) -> None:
        """What is there and not ours, which `overwrite` takes away; but for what is deleted as gone already."""
        keys = self.push.destination.keys
        for held in self.theirs_end.every():
            for one in held:
                key = key_text([one.fields.get(name) for name in keys], folds=self.theirs_end.folds)
                if key is None or key in self._seen:
                    continue
                match = {name: one.fields.get(name) for name in keys}
                before = {name: one.fields.get(name) for name in self.ends["destination"].names}
                self._add(Change(0, "destination", "delete", key, match, {}, before, {}, {}, "", one.id), Known(key))

    # the journal ---------------------------------------------------------------------------------------------------------------------

    def _add(self, change: Change, known: Known) -> None:
        if known.refused and known.refused == pushes.digest_of(change.fields):
            self.counts["set_aside"] += 1  # the same values were refused before
            return
        self._number += 1
        change = replace(change, number=self._number)
        self.counts[f"{change.op}s" if change.side == "destination" else f"{change.op}s_here"] += 1
        self.counts["changes"] += 1
        if len(self.shown) < _SHOWN:
            self.shown.append(change)
        self._waiting.append(change)
        if len(self._waiting) >= _SEVERAL:
            self._flush()

    def _flush(self) -> None:
        if self._waiting and not self.dry:
            pushes.add(self.database, self.push.name, self.run_id, self._waiting)
        self._waiting = []

    def _remember(self, agreed: Sequence[tuple[Known, Verdict]]) -> None:
        """Keep what both sides agree on though nobody has sent it."""
        if self.dry or not agreed:
            return
        with self.database.begin() as connection:
            for known, verdict in agreed:
                sent = {name: mine for name, (mine, _) in verdict.agreed.items()}
                held = {name: its for name, (_, its) in verdict.agreed.items()}
                pushes.agree(connection, self.database.tenant, self.push.name, known.key, sent, held, known.remote_id, known.local_id)


def _remote_id(base: Known | None, read: Read | None) -> str:
    return (base.remote_id if base else "") or (read.side.id if read else "")


def known_of(record: Mapping[str, Any]) -> Known:
    """What is known of a record, from the row that keeps it."""
    return Known(
        record["record_key"], record["local_id"], record["remote_id"], record["sent"], record["held"], record["sent_cursor"],
        record["held_cursor"], record["deleted"], record["refused"], record["confirmed_at"],
    )  # fmt: skip


def _several(reads: Iterable[Read]) -> Iterator[list[Read]]:
    found: list[Read] = []
    for read in reads:
        found.append(read)
        if len(found) == _SEVERAL:
            yield found
            found = []
    if found:
        yield found
