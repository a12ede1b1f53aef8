"""What happens to connections and runs that somebody may want to hear of: one typed, frozen class per kind. Facts, never secrets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar


@dataclass(frozen=True)
class Event:
    """Something that happened to a tenant. `once_per` names the facts that make it the same event again, however often it is told."""

    kind: ClassVar[str]
    once_per: ClassVar[tuple[str, ...]] = ()

    @property
    def key(self) -> str | None:
        """These facts; None if each telling is another event."""
        return " ".join(str(getattr(self, name)) for name in self.once_per) or None

    def facts(self) -> dict[str, Any]:
        """Its facts as JSON-ready values."""
        return asdict(self)

    def describe(self) -> str:
        """One line: the kind and the facts."""
        return f"{self.kind}: {', '.join(f'{name}={value}' for name, value in self.facts().items() if value != '')}"


@dataclass(frozen=True)
class SyncStarted(Event):
    """A run has taken the connection; a retried plan takes it again."""

    kind: ClassVar[str] = "sync.started"
    once_per: ClassVar[tuple[str, ...]] = ("connection", "run_id")
    connection: str
    run_id: str
    mode: str


@dataclass(frozen=True)
class SyncCompleted(Event):
    """A run has read every stream of the connection."""

    kind: ClassVar[str] = "sync.completed"
    connection: str
    run_id: str
    rows: int


@dataclass(frozen=True)
class SyncFailed(Event):
    """A run ended with a failure; `status` is `partial` if some streams were read."""

    kind: ClassVar[str] = "sync.failed"
    connection: str
    run_id: str
    status: str
    code: str
    message: str


@dataclass(frozen=True)
class ConnectorConnected(Event):
    """A person has agreed that we read an account, and its grant is kept."""

    kind: ClassVar[str] = "connector.connected"
    connection: str
    by: str


@dataclass(frozen=True)
class ConnectorPaused(Event):
    """No sync of the connection starts any more."""

    kind: ClassVar[str] = "connector.paused"
    connection: str
    reason: str
    by: str


@dataclass(frozen=True)
class ConnectorResumed(Event):
    """Syncs of the connection start again."""

    kind: ClassVar[str] = "connector.resumed"
    connection: str
    by: str


@dataclass(frozen=True)
class DeadlineMissed(Event):
    """A scheduled run was not done when its tier wants it to be."""

    kind: ClassVar[str] = "deadline.missed"
    once_per: ClassVar[tuple[str, ...]] = ("dag", "run_id")
    dag: str
    run_id: str
    tier: str
    deadline: str
    state: str


@dataclass(frozen=True)
class DriftDetected(Event):
    """A stream has not the shape that its declaration reads, or not the fields that it had before."""

    kind: ClassVar[str] = "drift.detected"
    connection: str
    stream: str
    message: str


@dataclass(frozen=True)
class CredentialExpiring(Event):
    """The secret of a Connection ends on a day that is near, or the grant that its tokens are refreshed with at a minute that is."""

    kind: ClassVar[str] = "credential.expiring"
    once_per: ClassVar[tuple[str, ...]] = ("connection", "expires")
    connection: str
    expires: str


@dataclass(frozen=True)
class ChainBroken(Event):
    """The tenant's audit log is not what was written: a row was changed or removed, or its end was cut off."""

    kind: ClassVar[str] = "audit.broken"
    once_per: ClassVar[tuple[str, ...]] = ("wrong",)
    rows: int
    head: str
    wrong: str


@dataclass(frozen=True)
class WeightsRelearned(Event):
    """A run compares an entity's records by new weights; `way` is `recount` if only heavy keys and frequencies of values are new.

    `merged` and `split` are the golden records that came together or apart by it.
    """

    kind: ClassVar[str] = "weights.relearned"
    entity: str
    run_id: str
    way: str
    reason: str
    records: int
    records_before: int
    model_version: int
    merged: int
    split: int

    @property
    def key(self) -> str:
        """A run that is finished by the next one is told of once."""
        return f"{self.entity} {self.run_id}"


@dataclass(frozen=True)
class IdentityOutOfReach(Event):
    """No two records of an entity can be one, whatever they agree on: all stay apart. `message` says what would help."""

    kind: ClassVar[str] = "identity.out_of_reach"
    once_per: ClassVar[tuple[str, ...]] = ("entity", "run_id")
    entity: str
    run_id: str
    records: int
    message: str


EVENTS: dict[str, type[Event]] = {
    kind.kind: kind
    for kind in (
        SyncStarted, SyncCompleted, SyncFailed, ConnectorConnected, ConnectorPaused, ConnectorResumed, DeadlineMissed, DriftDetected,
        CredentialExpiring, ChainBroken, WeightsRelearned, IdentityOutOfReach,
    )
}  # fmt: skip


def event_of(kind: str, facts: Mapping[str, Any]) -> Event:
    """The event that `kind` and `facts` tell of."""
    return EVENTS[kind](**facts)
