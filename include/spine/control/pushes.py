"""What is sent back to systems, as the control plane keeps it: runs, the journal of changes, and what both sides held when they agreed.

A change is `planned`, `sending` while it is on its way, `sent` when the system has said yes, `confirmed` when it was seen there, `failed`
when the system refused it, `dropped` when a later run has compared anew. What died while `sending` is looked up before it is sent again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any, Literal

import orjson
from sqlalchemy import Connection, text

from spine.control.database import TenantDatabase

Op = Literal["create", "update", "delete"]
Which = Literal["destination", "source"]
KEPT = "30 days"  # how long a run can be undone
GONE = "GONE"  # the code of a change whose record is no more there
_CHUNK = 500


@dataclass(frozen=True)
class Change:
    """One record to be written: `fields` by the written side's names, `match` its key there, `before` what stood there (None: no record).

    `sent` and `held` are what our and their side hold of these fields when it is done, by the destination's names.
    """

    number: int
    side: Which
    op: Op
    record_key: str
    match: Mapping[str, Any]
    fields: Mapping[str, Any]
    before: Mapping[str, Any] | None = None
    sent: Mapping[str, Any] = field(default_factory=dict)
    held: Mapping[str, Any] = field(default_factory=dict)
    local_id: str = ""
    remote_id: str = ""
    state: str = "planned"
    tries: int = 0
    error_code: str = ""
    error_message: str = ""
    retryable: bool = False

    @property
    def id(self) -> str:
        """The record's id on the side that is written."""
        return self.remote_id if self.side == "destination" else self.local_id


@dataclass(frozen=True)
class Settled:
    """How a change ended: the ids that the system gave, what it says that it holds, and its cursor; or the error."""

    change: Change
    state: Literal["sent", "confirmed", "failed", "planned"]
    id: str = ""
    holds: Mapping[str, Any] | None = None
    cursor: str | None = None
    error_code: str = ""
    error_message: str = ""
    retryable: bool = False
    tries: int | None = None


@dataclass(frozen=True)
class PushRun:
    """One line of the log of runs."""

    run_id: str
    status: str
    counts: Mapping[str, Any]
    undoes: str
    approved_by: str
    started_at: datetime
    ended_at: datetime | None
    error: str

    @property
    def compared(self) -> bool:
        """Whether it was found out what the run has to do; one that failed before is compared when it is run again."""
        return "changes" in self.counts


_CHANGE = tuple(known.name for known in fields(Change))
_JSON = frozenset({"match", "fields", "before", "sent", "held"})
_COLUMNS = ", ".join(_CHANGE)


def start(database: TenantDatabase, push: str, run_id: str, *, undoes: str = "", by: str = "") -> PushRun:
    """The run's row, made if it is new; a retry finds it as it was left."""
    with database.begin() as connection:
        connection.execute(
            text("""
            INSERT INTO spine.push_runs (tenant_id, push, run_id, undoes, status, triggered_by)
            VALUES (:tenant, :push, :run, :undoes, 'planned', :by) ON CONFLICT DO NOTHING
            """),
            {"tenant": database.tenant, "push": push, "run": run_id, "undoes": undoes, "by": by},
        )
    found = run(database, push, run_id)
    assert found is not None
    return found


def run(database: TenantDatabase, push: str, run_id: str) -> PushRun | None:
    """A run, None if there is none of that id."""
    return next((one for one in runs(database, push, run_id=run_id)), None)


def runs(database: TenantDatabase, push: str, *, run_id: str | None = None, limit: int = 50) -> list[PushRun]:
    """The runs of a push, newest first."""
    with database.begin() as connection:
        rows = connection.execute(
            text("""
            SELECT run_id, status, counts, undoes, approved_by, started_at, ended_at, error FROM spine.push_runs
            WHERE push = :push AND (CAST(:run AS text) IS NULL OR run_id = :run) ORDER BY started_at DESC, run_id LIMIT :limit
            """),
            {"push": push, "run": run_id, "limit": limit},
        )
        return [PushRun(**row) for row in rows.mappings()]


def set_run(database: TenantDatabase, push: str, run_id: str, status: str, counts: Mapping[str, Any], *, approved_by: str = "") -> None:
    """Note where a run stands; one that is done, partial or failed has ended."""
    with database.begin() as connection:
        connection.execute(
            text("""
            UPDATE spine.push_runs SET status = :status, counts = counts || CAST(:counts AS jsonb),
                approved_by = CASE WHEN :by = '' THEN approved_by ELSE :by END,
                ended_at = CASE WHEN :status IN ('done', 'partial', 'failed') THEN clock_timestamp() END
            WHERE push = :push AND run_id = :run
            """),
            {"push": push, "run": run_id, "status": status, "counts": _dumped(counts), "by": approved_by},
        )


def note_error(database: TenantDatabase, push: str, run_id: str, error: str) -> None:
    """Keep what stopped a run, for its log."""
    with database.begin() as connection:
        connection.execute(
            text("UPDATE spine.push_runs SET error = :error WHERE push = :push AND run_id = :run"),
            {"push": push, "run": run_id, "error": error},
        )


def cancel(database: TenantDatabase, push: str, run_id: str) -> None:
    """Remove a run that has found nothing out yet."""
    with database.begin() as connection:
        connection.execute(
            text("DELETE FROM spine.push_runs WHERE push = :push AND run_id = :run AND status = 'planned'"), {"push": push, "run": run_id}
        )


def clear(database: TenantDatabase, push: str, run_id: str) -> None:
    """Forget the changes of a run that was not compared to its end, and drop those of earlier runs that were never begun."""
    with database.begin() as connection:
        facts = {"push": push, "run": run_id}
        connection.execute(text("DELETE FROM spine.push_changes WHERE push = :push AND run_id = :run"), facts)
        connection.execute(
            text("""
            UPDATE spine.push_changes SET state = 'dropped', changed_at = clock_timestamp()
            WHERE push = :push AND run_id <> :run AND state = 'planned'
            """),
            facts,
        )


def add(database: TenantDatabase, push: str, run_id: str, changes: Sequence[Change]) -> None:
    """Write changes into the journal of a run."""
    rows = [{**asdict(change), **{name: _dumped(getattr(change, name)) for name in _JSON}} for change in changes]
    names = ", ".join(f"CAST(:{name} AS jsonb)" if name in _JSON else f":{name}" for name in _CHANGE)
    statement = text(f"INSERT INTO spine.push_changes (tenant_id, push, run_id, {_COLUMNS}) VALUES (:tenant, :push, :run, {names})")  # noqa: S608
    with database.begin() as connection:
        for at in range(0, len(rows), _CHUNK):
            connection.execute(
                statement,
                [{**row, "tenant": database.tenant, "push": push, "run": run_id} for row in rows[at : at + _CHUNK]],
            )


@dataclass(frozen=True)
class Wanted:
    """Which changes of a run: in one of `states` (any, if none is named), of one side and operation, tried less often than `tries`."""

    states: Sequence[str] = ()
    side: str | None = None
    op: str | None = None
    tries: int | None = None
    after: int = -1
    limit: int = 100


def changes(database: TenantDatabase, push: str, run_id: str, wanted: Wanted) -> list[Change]:
    """Changes of a run in their order."""
    with database.begin() as connection:
        rows = connection.execute(
            text(f"""
            SELECT {_COLUMNS} FROM spine.push_changes WHERE push = :push AND run_id = :run AND number > :after
              AND (cardinality(CAST(:states AS text[])) = 0 OR state = ANY(:states))
              AND (CAST(:side AS text) IS NULL OR side = :side) AND (CAST(:op AS text) IS NULL OR op = :op)
              AND (CAST(:tries AS int) IS NULL OR tries < :tries)
            ORDER BY number LIMIT :limit
            """),  # noqa: S608
            {"push": push, "run": run_id, **asdict(wanted), "states": list(wanted.states)},
        )
        return [Change(**row) for row in rows.mappings()]


def open_runs(database: TenantDatabase, push: str) -> list[str]:
    """Ids of runs with changes of which nobody knows whether they have arrived, oldest first."""
    with database.begin() as connection:
        rows = connection.execute(
            text("""
            SELECT run_id FROM spine.push_runs r WHERE push = :push AND EXISTS (
                SELECT FROM spine.push_changes c WHERE c.tenant_id = r.tenant_id AND c.push = r.push AND c.run_id = r.run_id
                AND state IN ('sending', 'sent')) ORDER BY started_at
            """),
            {"push": push},
        )
        return [row.run_id for row in rows]


def mark_sending(database: TenantDatabase, push: str, run_id: str, batch: Sequence[Change]) -> None:
    """Note that changes are on their way, before the first byte of them is."""
    with database.begin() as connection:
        connection.execute(
            text("""
            UPDATE spine.push_changes SET state = 'sending', tries = tries + 1, changed_at = clock_timestamp()
            WHERE push = :push AND run_id = :run AND number = ANY(:numbers)
            """),
            {"push": push, "run": run_id, "numbers": [change.number for change in batch]},
        )


def rewrite(database: TenantDatabase, push: str, run_id: str, batch: Sequence[Change]) -> None:
    """Keep what has become of planned changes when it was seen, just before they are sent, what stands there."""
    with database.begin() as connection:
        for change in batch:
            connection.execute(
                text("""
                UPDATE spine.push_changes SET op = :op, before = CAST(:before AS jsonb), fields = CAST(:fields AS jsonb),
                    sent = CAST(:sent AS jsonb), held = CAST(:held AS jsonb), remote_id = :remote_id, local_id = :local_id
                WHERE push = :push AND run_id = :run AND number = :number
                """),
                {**asdict(change), **{name: _dumped(getattr(change, name)) for name in _JSON}, "push": push, "run": run_id},
            )


def settle(database: TenantDatabase, push: str, run_id: str, found: Sequence[Settled]) -> None:
    """Write down how changes ended; those that are confirmed become what both sides are known to hold, in the same transaction."""
    with database.begin() as connection:
        undoes = connection.execute(
            text("SELECT undoes <> '' FROM spine.push_runs WHERE push = :push AND run_id = :run"), {"push": push, "run": run_id}
        ).scalar()
        for one in found:
            facts = {
                "push": push, "run": run_id, "number": one.change.number, "state": one.state, "code": one.error_code,
                "message": one.error_message[:2000], "retryable": one.retryable, "id": one.id, "tries": one.tries, "op": one.change.op,
            }  # fmt: skip
            connection.execute(
                text("""
                UPDATE spine.push_changes SET op = :op, state = :state,
                    error_code = :code, error_message = :message, retryable = :retryable,
                    tries = coalesce(CAST(:tries AS int), tries),
                    remote_id = CASE WHEN side = 'destination' AND :id <> '' THEN :id ELSE remote_id END,
                    local_id = CASE WHEN side = 'source' AND :id <> '' THEN :id ELSE local_id END, changed_at = clock_timestamp()
                WHERE push = :push AND run_id = :run AND number = :number
                """),
                facts,
            )
            if one.state == "confirmed":
                _remember(connection, database.tenant, push, one, undone=bool(undoes))
            elif one.state == "failed" and one.error_code == GONE:
                facts = {"push": push, "key": one.change.record_key}
                connection.execute(text("UPDATE spine.push_records SET deleted = true WHERE push = :push AND record_key = :key"), facts)
            elif one.state == "failed" and not one.retryable:
                _refuse(connection, database.tenant, push, one)


def _remember(connection: Connection, tenant: str, push: str, one: Settled, *, undone: bool) -> None:
    change = one.change
    ids = (one.id or change.remote_id, change.local_id) if change.side == "destination" else (change.remote_id, one.id or change.local_id)
    write_record(
        connection, tenant, push, change.record_key, change.sent, {**change.held, **(one.holds or {})},
        remote_id=ids[0], local_id=ids[1], deleted=change.op == "delete",
        cursors=(None, one.cursor) if change.side == "destination" else (one.cursor, None),
        refused=digest_of(change.before or {}) if undone and change.op == "delete" else "",  # what was taken back is not sent again
    )  # fmt: skip
    connection.execute(
        text("DELETE FROM spine.push_conflicts WHERE push = :push AND record_key = :key AND field = ANY(:fields) AND decision <> ''"),
        {"push": push, "key": change.record_key, "fields": list(change.sent)},
    )


def _refuse(connection: Connection, tenant: str, push: str, one: Settled) -> None:
    """Keep which values were refused, so that the same ones are not sent on every run."""
    connection.execute(
        text("""
        INSERT INTO spine.push_records (tenant_id, push, record_key, local_id, remote_id, refused, refused_why, deleted)
        VALUES (:tenant, :push, :key, :local, :remote, :refused, :why, :new)
        ON CONFLICT (tenant_id, push, record_key) DO UPDATE SET refused = excluded.refused, refused_why = excluded.refused_why
        """),
        {
            "tenant": tenant, "push": push, "key": one.change.record_key, "local": one.change.local_id, "remote": one.change.remote_id,
            "refused": digest_of(one.change.fields), "why": one.error_message[:2000], "new": one.change.op == "create",
        },
    )  # fmt: skip


def write_record(
    connection: Connection, tenant: str, push: str, key: str, sent: Mapping[str, Any], held: Mapping[str, Any], *,
    remote_id: str = "", local_id: str = "", deleted: bool = False, cursors: tuple[str | None, str | None] = (None, None),
    refused: str = "",
) -> None:  # fmt: skip
    """Add to what both sides are known to hold of a record; fields that are not named stay as they were."""
    connection.execute(
        text("""
        INSERT INTO spine.push_records AS r (tenant_id, push, record_key, local_id, remote_id, sent, held, sent_cursor, held_cursor,
                                             deleted,
                                             refused)
        VALUES (:tenant, :push, :key, :local, :remote, CAST(:sent AS jsonb), CAST(:held AS jsonb), :sent_cursor, :held_cursor, :deleted,
                :refused)
        ON CONFLICT (tenant_id, push, record_key) DO UPDATE SET
            sent = CASE WHEN r.deleted THEN excluded.sent ELSE r.sent || excluded.sent END,
            held = CASE WHEN r.deleted THEN excluded.held ELSE r.held || excluded.held END,
            local_id = CASE WHEN excluded.local_id = '' THEN r.local_id ELSE excluded.local_id END,
            remote_id = CASE WHEN excluded.remote_id = '' THEN r.remote_id ELSE excluded.remote_id END,
            sent_cursor = coalesce(excluded.sent_cursor, r.sent_cursor), held_cursor = coalesce(excluded.held_cursor, r.held_cursor),
            deleted = excluded.deleted, refused = excluded.refused, refused_why = '', confirmed_at = clock_timestamp()
        """),
        {
            "tenant": tenant, "push": push, "key": key, "local": local_id, "remote": remote_id, "sent": _dumped(sent),
            "held": _dumped(held),
            "sent_cursor": cursors[0], "held_cursor": cursors[1], "deleted": deleted, "refused": refused,
        },
    )  # fmt: skip


def agree(
    connection: Connection, tenant: str, push: str, key: str, sent: Mapping[str, Any], held: Mapping[str, Any], remote_id: str,
    local_id: str,
) -> None:  # fmt: skip
    """Add values on which both sides agree without a write. When they were last written stays as it was."""
    connection.execute(
        text("""
        INSERT INTO spine.push_records AS r (tenant_id, push, record_key, local_id, remote_id, sent, held)
        VALUES (:tenant, :push, :key, :local, :remote, CAST(:sent AS jsonb), CAST(:held AS jsonb))
        ON CONFLICT (tenant_id, push, record_key) DO UPDATE SET sent = r.sent || excluded.sent, held = r.held || excluded.held,
            deleted = false, local_id = CASE WHEN excluded.local_id = '' THEN r.local_id ELSE excluded.local_id END,
            remote_id = CASE WHEN excluded.remote_id = '' THEN r.remote_id ELSE excluded.remote_id END
        """),
        {"tenant": tenant, "push": push, "key": key, "local": local_id, "remote": remote_id, "sent": _dumped(sent), "held": _dumped(held)},
    )


def records(
    database: TenantDatabase, push: str, keys: Sequence[str], *, local_ids: Sequence[str] = (), remote_ids: Sequence[str] = ()
) -> list[Mapping[str, Any]]:
    """What is known of records, by key or by the id of either side, as the table's columns."""
    with database.begin() as connection:
        rows = connection.execute(
            text("""
            SELECT * FROM spine.push_records WHERE push = :push AND (record_key = ANY(:keys)
                OR (local_id <> '' AND local_id = ANY(:local)) OR (remote_id <> '' AND remote_id = ANY(:remote)))
            """),
            {"push": push, "keys": list(keys), "local": list(local_ids), "remote": list(remote_ids)},
        )
        return [dict(row) for row in rows.mappings()]


def living(database: TenantDatabase, push: str, *, chunk: int = 1000) -> Iterator[Sequence[Mapping[str, Any]]]:
    """All records that both sides are known to hold, in chunks by key."""
    after = ""
    while True:
        with database.begin() as connection:
            rows = connection.execute(
                text("""
                SELECT * FROM spine.push_records WHERE push = :push AND NOT deleted AND record_key > :after
                ORDER BY record_key LIMIT :chunk
                """),
                {"push": push, "after": after, "chunk": chunk},
            )
            found = [dict(row) for row in rows.mappings()]
        if not found:
            return
        yield found
        after = str(found[-1]["record_key"])


def digest_of(values: Mapping[str, Any]) -> str:
    """What tells values that were refused from others."""
    return hashlib.sha256(orjson.dumps(dict(values), default=str, option=orjson.OPT_SORT_KEYS)).hexdigest()


def count(database: TenantDatabase, push: str, run_id: str) -> dict[str, int]:
    """How many changes of a run are in each state; failed ones that are tried again count as `waiting`."""
    with database.begin() as connection:
        rows = connection.execute(
            text("""
            SELECT CASE WHEN state = 'failed' AND retryable THEN 'waiting' ELSE state END AS state, count(*) AS number
            FROM spine.push_changes WHERE push = :push AND run_id = :run GROUP BY 1
            """),
            {"push": push, "run": run_id},
        )
        return {row.state: row.number for row in rows}


def forget(database: TenantDatabase, push: str) -> None:
    """Remove the changes of runs that ended long ago, or began then and died: they can no longer be undone, and hold values of people."""
    with database.begin() as connection:
        connection.execute(
            text(f"""
            DELETE FROM spine.push_changes c USING spine.push_runs r
            WHERE c.tenant_id = r.tenant_id AND c.push = r.push AND c.run_id = r.run_id AND c.push = :push
              AND coalesce(r.ended_at, r.started_at) < clock_timestamp() - interval '{KEPT}' AND c.state NOT IN ('sending', 'sent')
            """),  # noqa: S608
            {"push": push},
        )


def _dumped(value: Any) -> str | None:
    return None if value is None else orjson.dumps(value, default=str).decode()
