"""Takes a run back: what it made is deleted, what it changed gets its former values, what it deleted is made again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from spine.control import pushes
from spine.control.database import TenantDatabase
from spine.control.pushes import Change, Wanted, Which
from spine.core.errors import ConfigError
from spine.push.destination import Destination
from spine.push.spec import Push
from spine.push.values import same

_CHUNK = 500
_SHOWN = 20


def undo_changes(
    push: Push, database: TenantDatabase, run_id: str, undoes: str, open_side: Callable[[Which], Destination], *, dry: bool = False
) -> tuple[Counter[str], list[Change]]:
    """Write the opposite of a run's confirmed changes into the journal of another run; counts, and the first of them.

    What somebody has changed since stays as it is and is counted as `changed_since`. Raises ConfigError if there is no such run.
    """
    run = pushes.run(database, push.name, undoes)
    if run is None:
        raise ConfigError(f"push {push.name!r} has no run {undoes!r}", hint="`spine push runs` lists them")
    counts: Counter[str] = Counter()
    shown: list[Change] = []
    after, number = -1, 0
    while batch := pushes.changes(database, push.name, undoes, Wanted(("confirmed",), after=after, limit=_CHUNK)):
        after = batch[-1].number
        due: list[Change] = []
        for change in _untouched(batch, open_side, counts):
            number += 1
            due.append(replace(_opposite(change, push), number=number, state="planned", tries=0, error_code="", error_message=""))
        for change in due:
            counts[f"{change.op}s" if change.side == "destination" else f"{change.op}s_here"] += 1
        counts["changes"] += len(due)
        shown += due[: _SHOWN - len(shown)]
        if not dry:
            pushes.add(database, push.name, run_id, due)
    return counts, shown


def _untouched(batch: list[Change], open_side: Callable[[Which], Destination], counts: Counter[str]) -> list[Change]:
    """Those that nobody has changed since, as the system itself shows them now; all where it cannot be asked."""
    kept = []
    for side in ("destination", "source"):
        mine = [change for change in batch if change.side == side and (change.before is not None or change.op == "create")]
        if not mine:
            continue
        destination = open_side(side)
        for at in range(0, len(mine), destination.most):
            part = mine[at : at + destination.most]
            held = destination.look(part) if destination.looks else None
            for change in part:
                there = held.get(change.number) if held is not None else None
                gone = there is None
                fits = held is None or (gone if change.op == "delete" else not gone)
                if fits and there is not None:
                    fits = all(same(value, there.fields.get(name)) or same(there.fields.get(name), change.held.get(name))
                               for name, value in change.fields.items())  # fmt: skip
                if fits:
                    kept.append(change)
                else:
                    counts["changed_since"] += 1
    return kept


def _opposite(change: Change, push: Push) -> Change:
    """What takes a change back. Ours stays as it was sent, so that the next run does not send it again."""
    if change.op == "create":
        return replace(change, op="delete", fields={}, before=dict(change.fields), sent={}, held={})
    before = dict(change.before or {})
    if change.op == "delete":
        made = {name: value for name, value in before.items() if value is not None}
        return replace(change, op="create", fields=made, before=None, sent={}, held=made)
    if change.side == "destination":
        return replace(change, fields=before, before=dict(change.fields), held=before)
    common = {push.destination.mapping[name].to: value for name, value in before.items()}
    return replace(change, fields=before, before=dict(change.fields), sent=common)
