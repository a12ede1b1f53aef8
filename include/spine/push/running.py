"""A push, step by step: plan, compare, send, confirm, report; and the same steps in one go. Each may die anywhere and be called again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from spine.control import audit, connections, locks, pushes
from spine.control.database import TenantDatabase
from spine.control.pushes import Change, PushRun, Which
from spine.core.errors import ApprovalNeeded, AuthFailed, ConfigError, PushFailed, SpineError, SyncInProgress, as_ours
from spine.core.failpoints import failpoint
from spine.core.names import connection_id
from spine.core.screen import logger
from spine.pipeline.services import Services, fingerprint, resume_if_changed
from spine.push.destination import Destination
from spine.push.ends import End, end_of
from spine.push.opening import open_destination
from spine.push.planning import Comparison
from spine.push.sending import Sending
from spine.push.spec import Push, load_push
from spine.push.undoing import undo_changes

_log = logger(__name__)
_LEASE = 600.0  # seconds; each batch renews it, and a call takes no longer than `timeouts.total` allows


@dataclass(frozen=True)
class PushWork:
    """One tenant's part of a run of a push; `undoes` is the run that it takes back. Crosses tasks as JSON."""

    push: str
    tenant: str
    run_id: str
    undoes: str = ""
    triggered_by: str = ""

    @property
    def lock(self) -> str:
        """The name under which no two runs write at once."""
        return f"push {self.push}"

    def to_json(self) -> dict[str, Any]:
        """The work as an XCom holds it."""
        return {**asdict(self), "label": self.tenant}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> PushWork:
        """The work that `to_json` gave."""
        return cls(**{known.name: data[known.name] for known in fields(cls)})


@dataclass(frozen=True)
class Compared:
    """What a run would do: counts, why it needs a person's word (empty: it does not), and in a dry run the first changes."""

    work: PushWork
    counts: Mapping[str, int]
    reasons: tuple[str, ...] = ()
    shown: tuple[Change, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The result as an XCom and `--json` hold it."""
        return {
            **self.work.to_json(), "counts": dict(self.counts), "reasons": list(self.reasons),
            "changes": [{name: value for name, value in asdict(one).items() if name in _SHOWN} for one in self.shown],
        }  # fmt: skip


_TOLD = ("rows", "changes", "creates", "updates", "deletes", "unchanged", "conflicts", "confirmed", "failed")
_SHOWN = ("side", "op", "record_key", "fields", "before")


@dataclass(frozen=True)
class Reported:
    """How a tenant's part of a run ended."""

    tenant: str
    run_id: str
    status: str
    counts: Mapping[str, int]
    failures: tuple[Mapping[str, str], ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """The result as an XCom and `--json` hold it."""
        return {**asdict(self), "failures": [dict(one) for one in self.failures]}


def plan(
    name: str, run_id: str, services: Services, *, tenants: Sequence[str] | None = None, by: str = "", undoes: str = ""
) -> list[PushWork]:
    """The works of a run. Takes each tenant's lock, so that another run waits.

    A tenant whose connection cannot be used is left out if others remain, else its error is raised. Raises SyncInProgress, when what was
    taken is given back, and ConfigError if the push is not enabled.
    """
    push = load_push(name)
    if not push.enabled:
        raise ConfigError(f"the push {name!r} is not enabled", hint=f"Say `enabled: true` in include/syncs/{name}.yaml", push=name)
    works: list[PushWork] = []
    refusal: SpineError | None = None
    for tenant in tenants or services.tenants(push.destination.connector):
        work = PushWork(name, tenant, run_id, undoes, by)
        try:
            begin(work, push, services)
            works.append(work)
        except SyncInProgress:
            for taken in works:
                cancel(taken, services)
            raise
        except Exception as error:  # whatever one tenant has in its Variables and Connection
            told = as_ours(error, tenant=tenant)
            refusal = refusal or told
            _log.warning("push %s: tenant %s is left out: %s", name, tenant, told, exc_info=not isinstance(error, SpineError))
    if refusal is not None and not works:
        raise refusal
    return works


def begin(work: PushWork, push: Push, services: Services) -> PushRun:
    """Take the lock and open the run of one tenant. Raises SyncInProgress, ConnectorError."""
    database = services.database.of(work.tenant)
    for connector in {push.destination.connector, *([push.source.connector] if push.two_way and push.source.connector else [])}:
        connection = connection_id(connector, work.tenant)
        resume_if_changed(database, connection, services)
        connections.require_active(database, connection)
    locks.acquire(database, work.lock, work.run_id, ttl=_LEASE)
    return pushes.start(database, work.push, work.run_id, undoes=work.undoes, by=work.triggered_by)


def compare(work: PushWork, services: Services, *, dry: bool = False) -> Compared:
    """Find out what has to be sent and write it into the journal; nothing is sent, and with `dry` nothing is written.

    What earlier runs have left half done is settled first. Raises ConfigError, LakeError, ConnectorError.
    """
    with _noting(work, services, dry=dry):
        return _compare(work, services, dry=dry)


def _compare(work: PushWork, services: Services, *, dry: bool) -> Compared:
    push, database = load_push(work.push), services.database.of(work.tenant)
    if not dry:
        locks.acquire(database, work.lock, work.run_id, ttl=_LEASE)
        run = pushes.start(database, work.push, work.run_id, undoes=work.undoes, by=work.triggered_by)
        if run.compared:
            return _compared(push, work, run.counts)
        for left in pushes.open_runs(database, work.push):
            with _sending(push, work, services, run_id=left) as sending:
                sending.recover()
                sending.confirm()
        pushes.clear(database, work.push, work.run_id)
    with _opened(push, work, services) as (ends, open_side):
        if work.undoes:
            counts, shown = undo_changes(push, database, work.run_id, work.undoes, open_side, dry=dry)
        else:
            renew = (lambda: None) if dry else _renewal(work, database)
            made = Comparison(
                push,
                database,
                work.run_id,
                ends,
                open_side("destination"),
                dry=dry,
                renew=renew,
            )
            made.run()
            counts, shown = made.counts, made.shown
    failpoint("push_compared")
    if not dry:
        pushes.set_run(database, work.push, work.run_id, "compared", {"changes": 0, **counts})
    return _compared(push, work, counts, shown if dry else ())


def _compared(push: Push, work: PushWork, counts: Mapping[str, int], shown: Sequence[Change] = ()) -> Compared:
    reasons, changes = [], counts.get("changes", 0)
    deletes = sum(counts.get(name, 0) for name in ("deletes", "deletes_here", "marked"))
    before = max(counts.get("sent_before", 0), deletes)
    if changes > push.max_changes:
        reasons.append(f"{changes:,} changes are more than the {push.max_changes:,} of `max_changes`")
    if deletes and not work.undoes and deletes > push.deletes.max_share * before:
        reasons.append(f"{deletes:,} of {before:,} records would be deleted, more than `deletes.max_share` allows")
    return Compared(work, dict(counts), tuple(reasons), tuple(shown))


def require_approved(compared: Compared, services: Services, *, by: str = "") -> None:
    """Pass, or raise ApprovalNeeded; `by` is the person who has said yes, which is in the audit log."""
    if not compared.reasons:
        return
    work, database = compared.work, services.database.of(compared.work.tenant)
    if not by:
        raise ApprovalNeeded("; ".join(compared.reasons), push=work.push, tenant=work.tenant, run=work.run_id)
    pushes.set_run(database, work.push, work.run_id, "compared", {}, approved_by=by)
    audit.record(database, audit.Entry(by, "push_approved", "push", work.push, new_value={"run": work.run_id, "reasons": compared.reasons}))


def send(work: PushWork, services: Services) -> dict[str, int]:
    """Send what the journal of the run says; how many changes are in which state. Raises ConnectorError; call it again then."""
    return _step(work, services, Sending.send)


def confirm(work: PushWork, services: Services) -> dict[str, int]:
    """See that what was sent is there. Raises ConnectorError; call it again then."""
    return _step(work, services, Sending.confirm)


def _step(work: PushWork, services: Services, step: Callable[[Sending], None]) -> dict[str, int]:
    push, database = load_push(work.push), services.database.of(work.tenant)
    locks.acquire(database, work.lock, work.run_id, ttl=_LEASE)
    with _noting(work, services), _sending(push, work, services) as sending:
        step(sending)
    return pushes.count(database, work.push, work.run_id)


@contextmanager
def _noting(work: PushWork, services: Services, *, dry: bool = False) -> Iterator[None]:
    """Keep what stops a run; refused credentials pause the connection, as they do when it is read."""
    try:
        yield
    except SpineError as error:
        database = services.database.of(work.tenant)
        if not dry:
            pushes.note_error(database, work.push, work.run_id, error.describe())
        if isinstance(error, AuthFailed):
            push = load_push(work.push)
            known = [connection_id(name, work.tenant) for name in (push.destination.connector, push.source.connector) if name]
            named = str(error.where.get("connection"))  # both ways: it may be the source's
            connection = named if named in known else known[0]
            connections.refused(database, connection, fingerprint(database, services.connections(connection)))
            connections.failed(database, connection, error)
        raise


def compared(work: PushWork, services: Services) -> Compared | None:
    """What the run was found to do, None if it was not compared to its end or all of it is done."""
    run = pushes.run(services.database.of(work.tenant), work.push, work.run_id)
    return None if run is None or not run.compared or run.status == "done" else _compared(load_push(work.push), work, run.counts)


def report(work: PushWork, services: Services) -> Reported:
    """Close the run and release its lock, whatever happened. Safe to call again."""
    database = services.database.of(work.tenant)
    counts = pushes.count(database, work.push, work.run_id)
    waiting = sum(counts.get(name, 0) for name in ("planned", "sending", "sent", "waiting"))
    arrived, refused = counts.get("confirmed", 0), counts.get("failed", 0)
    run = pushes.run(database, work.push, work.run_id)
    if run is None or not run.compared or waiting:
        status = "partial" if arrived else "failed"
    else:
        status = "failed" if refused and not arrived else "done"
    pushes.set_run(database, work.push, work.run_id, status, {"states": counts})
    pushes.forget(database, work.push)
    locks.release(database, work.lock, work.run_id)
    failures = pushes.changes(database, work.push, work.run_id, pushes.Wanted(("failed",), limit=100))
    told = tuple({"key": one.record_key, "op": one.op, "code": one.error_code, "message": one.error_message} for one in failures)
    compared = {name: value for name, value in (run.counts if run else {}).items() if isinstance(value, int)}
    return Reported(work.tenant, work.run_id, status, {**dict.fromkeys(_TOLD, 0), **compared, **counts}, told)


def cancel(work: PushWork, services: Services) -> None:
    """Forget a run that was planned and is not to do anything, and release its lock."""
    database = services.database.of(work.tenant)
    pushes.cancel(database, work.push, work.run_id)
    locks.release(database, work.lock, work.run_id)


def require_well(found: Reported, push: str) -> None:
    """Raise PushFailed if a tenant's run did not end well; records that the system refuses for good do not count beside others."""
    if found.status != "done":
        missing = sum(found.counts.get(name, 0) for name in ("failed", "waiting", "planned", "sent", "sending"))
        first = found.failures[0] if found.failures else {}
        words = f": {first.get('message')}" if first else ""
        raise PushFailed(
            f"{missing:,} change(s) did not arrive{words}",
            hint="`spine push show` lists them with the system's own words; the next run tries again what may pass",
            push=push, tenant=found.tenant, run=found.run_id,
        )  # fmt: skip


def run_push(work: PushWork, services: Services, *, approved_by: str = "") -> Reported:
    """All steps after `plan` for one tenant. Raises what stopped it, when the run is closed."""
    try:
        require_approved(compare(work, services), services, by=approved_by)
        send(work, services)
        confirm(work, services)
    finally:
        found = report(work, services)
    return found


def _renewal(work: PushWork, database: TenantDatabase) -> Callable[[], object]:
    return lambda: locks.renew(database, work.lock, work.run_id, ttl=_LEASE)


@contextmanager
def _opened(push: Push, work: PushWork, services: Services) -> Iterator[tuple[dict[Which, End], Callable[[Which], Destination]]]:
    """The ends of a push, and what opens them: each once, until this is left."""
    ends: dict[Which, End] = {"destination": end_of(push, "destination")}
    if push.two_way:
        ends["source"] = end_of(push, "source")
    with ExitStack() as stack:
        opened: dict[Which, Destination] = {}

        def open_side(side: Which) -> Destination:
            if side not in opened:
                made = open_destination(push, ends[side], work.tenant, services, work.run_id, services.sleep)
                opened[side] = stack.enter_context(made)
            return opened[side]

        yield ends, open_side


@contextmanager
def _sending(push: Push, work: PushWork, services: Services, run_id: str = "") -> Iterator[Sending]:
    database: TenantDatabase = services.database.of(work.tenant)
    with _opened(push, work, services) as (ends, open_side):
        yield Sending(push, database, run_id or work.run_id, ends, open_side, services.sleep, _renewal(work, database))
