"""Every failure of the spine, as one tree.

SpineError
├── ConfigError              CONFIG_INVALID           a spec, entity, setting or argument is wrong
│   └── SecretUnreadable     SECRET_UNREADABLE        422  no key of the deployment opens what is stored
├── ConnectorError
│   ├── AuthFailed           CONNECTOR_AUTH_FAILED    401  fail at once, pause the connection
│   ├── RateLimited          CONNECTOR_RATE_LIMITED   429  retry after `retry_after` seconds
│   ├── SourceUnavailable    SOURCE_UNAVAILABLE       503  network, time-out, 5xx: retry with jitter
│   ├── SourceRejected       SOURCE_REJECTED          400  the source refused the request: do not retry
│   ├── CircuitOpen          CIRCUIT_OPEN             503  breaker is open: retry after it half-opens
│   ├── SourceTooLarge       SOURCE_TOO_LARGE         422  a stream brings more pages or bytes in a run than its source's file allows
│   ├── SchemaMismatch       SCHEMA_MISMATCH          422  the source's shape is not what the spec reads
│   └── FileRefused          FILE_REFUSED             422  a file that is none, or is larger than its bounds; the others are read
├── StreamStopped            STREAM_STOPPED           504  a stream was not read to its end in its time; the next run goes on
├── SyncInProgress           SYNC_IN_PROGRESS         409  another run holds this connection
├── LakeError                LAKE_FAILED                   a Delta table could not be read or written
├── QualityFailed            QUALITY_FAILED                the gate refused the staged frame
├── ConservationFailed       CONSERVATION_FAILED           rows in != rows accounted for
├── ApprovalNeeded           APPROVAL_NEEDED          409  a push would change more than it may without a person's word
├── PushFailed               PUSH_FAILED                   records that a system did not take, though it may another time
├── DeleteSweepRefused       DELETE_SWEEP_REFUSED          a full read would delete more than its share
├── IdentityConflict         IDENTITY_CONFLICT        409  two strong, mutually exclusive candidates
├── NothingToMatch           NOTHING_TO_MATCH         422  no two records of these could ever be one, whatever they agree on
├── PublishFailed            PUBLISH_FAILED                Gold could not be published to PostgreSQL
├── AuditBroken              AUDIT_BROKEN                  the audit log is not what was written
├── RunFailed                RUN_FAILED                    a run ended with failed tasks; what could go on did
├── JobFailed                JOB_FAILED                    a Spark job died without saying why
├── StackFailed              STACK_FAILED                  a part of the embedded stack did not start or answer
└── ControlPlaneUnavailable  CONTROL_UNAVAILABLE      503  PostgreSQL cannot be reached

An error takes facts (where it happened) and ends with what to do next. It never holds a secret or a whole record.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar


@dataclass(frozen=True)
class Mistake:
    """What is wrong at one place of a declaration; `field` is the way to it, as `streams.0.cursor.field`, empty where there is none."""

    file: str
    line: int
    field: str
    what: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {f'{self.field}: ' if self.field else ''}{self.what}"


class SpineError(Exception):
    """Root of all our errors.

    `message` says what happened, `where` holds facts such as connection, stream, page and row, `hint` says what to do. Whether it is
    tried again only its catcher knows: a task says so, a command says that nothing does.
    """

    code: ClassVar[str] = "SPINE_ERROR"
    retryable: ClassVar[bool] = False
    http_status: ClassVar[int] = 500
    usual_hint: ClassVar[str] = ""

    def __init__(self, message: str, *, hint: str = "", retry_after: float | None = None, **where: Any) -> None:
        self.message = message
        self.hint = hint or self.usual_hint
        self.retry_after = retry_after
        self.where = {key: value for key, value in where.items() if value is not None}
        super().__init__(self.describe())

    def describe(self) -> str:
        """`[CODE] what happened (connection=…, stream=…). What to do`"""
        facts = ", ".join(f"{key}={value}" for key, value in self.where.items())
        text = f"[{self.code}] {self.message}"
        if facts:
            text += f" ({facts})"
        if self.hint:
            text += f". {self.hint}"
        return text

    def line(self, then: str = "") -> str:
        """What it describes as one line, for logs and screens; `then` says what happens next."""
        return " ".join(f"{self.describe()}. {then}".removesuffix(". ").split())

    def as_dict(self) -> dict[str, Any]:
        """The error as JSON-ready values, as written to job result files and run logs."""
        return {
            "code": self.code,
            "message": self.message,
            "hint": self.hint,
            "retry_after": self.retry_after,
            "where": {key: str(value) for key, value in self.where.items()},
        }

    def __reduce__(self) -> tuple[Any, ...]:
        return (error_from_dict, (self.as_dict(),))


class ConfigError(SpineError):
    """A spec, entity, setting or argument is wrong; names file, line and field where known."""

    code = "CONFIG_INVALID"
    http_status = 422
    mistakes: tuple[Mistake, ...] = ()

    @classmethod
    def of(cls, mistakes: Sequence[Mistake]) -> ConfigError:
        """All that is wrong in one file."""
        error = cls("; ".join(map(str, mistakes)), file=mistakes[0].file, hint="Correct the file; no other source is affected")
        error.mistakes = tuple(mistakes)
        return error

    def as_dict(self) -> dict[str, Any]:
        """The error as JSON-ready values, with each mistake's file, line, field and words where they are known."""
        known = {"mistakes": [asdict(mistake) for mistake in self.mistakes]} if self.mistakes else {}
        return {**super().as_dict(), **known}


class SecretUnreadable(ConfigError):
    """A tenant's key or a stored token that no key of the deployment opens; the Connection's own fields are not touched by that."""

    code = "SECRET_UNREADABLE"


class ConnectorError(SpineError):
    """A source could not be read."""

    code = "CONNECTOR_FAILED"
    http_status = 502


class AuthFailed(ConnectorError):
    """The source refused our credentials and a refresh did not help."""

    code = "CONNECTOR_AUTH_FAILED"
    http_status = 401


class RateLimited(ConnectorError):
    """The source's limit is used up; `retry_after` is the server's own wish in seconds."""

    code = "CONNECTOR_RATE_LIMITED"
    retryable = True
    http_status = 429


class SourceUnavailable(ConnectorError):
    """Network failure, time-out, cut body or 5xx, after the client's own retries."""

    code = "SOURCE_UNAVAILABLE"
    retryable = True
    foreseen = False  # a rule of the source's file knows it: no reason to think that the source fails
    usual_hint = "If it stays so, look at the vendor's status page and at the network"
    http_status = 503


class SourceRejected(ConnectorError):
    """The source answered that the request itself is wrong (4xx other than 401, 403, 408, 429)."""

    code = "SOURCE_REJECTED"
    http_status = 400


class CircuitOpen(ConnectorError):
    """The connection failed too often in a row; `retry_after` is the time until the breaker half-opens."""

    code = "CIRCUIT_OPEN"
    retryable = True
    http_status = 503


class SourceTooLarge(ConnectorError):
    """A stream brought more pages or bytes in one run than `limits` in its source's file allow; what was committed stays."""

    code = "SOURCE_TOO_LARGE"
    http_status = 422
    usual_hint = (
        "Look whether the source has an end. If it is really so large, raise that limit in the source's file and clear the task: "
        "it goes on from the last committed page"
    )


class SchemaMismatch(ConnectorError):
    """What the source sent does not have the shape that the spec reads."""

    code = "SCHEMA_MISMATCH"
    http_status = 422


class StreamStopped(SpineError):
    """A stream was not read to its end: its time was over, or its task was stopped. What is committed stays."""

    code = "STREAM_STOPPED"
    usual_hint = "The next run goes on from its last committed page. If it is too much for its time, raise `timeouts.stream` of the source"
    http_status = 504


class FileRefused(ConnectorError):
    """A file of a drop is a link, a device or the like, or larger than its bounds when decoded; the others are read."""

    code = "FILE_REFUSED"
    http_status = 422


class SyncInProgress(SpineError):
    """Another run holds this connection."""

    code = "SYNC_IN_PROGRESS"
    http_status = 409


class LakeError(SpineError):
    """A Delta table could not be read or written."""

    code = "LAKE_FAILED"
    retryable = True


class QualityFailed(SpineError):
    """The gate refused the staged frame; readers keep the old version."""

    code = "QUALITY_FAILED"
    http_status = 422


class ConservationFailed(SpineError):
    """Rows in differ from published + quarantined + superseded + filtered."""

    code = "CONSERVATION_FAILED"


class DeleteSweepRefused(SpineError):
    """A full read would mark more than the allowed share of a stream as deleted."""

    code = "DELETE_SWEEP_REFUSED"
    http_status = 422


class ApprovalNeeded(SpineError):
    """A push would make more changes, or more deletes, than its file lets it make without a person's word."""

    code = "APPROVAL_NEEDED"
    http_status = 409
    usual_hint = "Look at them with `spine push plan`; `spine push run --approve` lets them pass, or raise `max_changes` in its file"


class PushFailed(SpineError):
    """Some records were not taken by the system, for reasons that may pass; all others are there."""

    code = "PUSH_FAILED"
    http_status = 502


class IdentityConflict(SpineError):
    """Two strong candidates exclude each other; the record stays unlinked and waits for a steward."""

    code = "IDENTITY_CONFLICT"
    http_status = 409


class NothingToMatch(SpineError):
    """Records that hold too little for any two to be one. Nothing is written: each record by itself would read as a result."""

    code = "NOTHING_TO_MATCH"
    http_status = 422


class PublishFailed(SpineError):
    """Gold could not be published to PostgreSQL; analysts keep the former publication."""

    code = "PUBLISH_FAILED"
    retryable = True


class AuditBroken(SpineError):
    """A row of the audit log was changed or removed, its end was cut off, or the head that is kept outside is gone."""

    code = "AUDIT_BROKEN"
    usual_hint = (
        "Somebody with an administrator's rights wrote in spine.audit_log, or PostgreSQL was restored from a backup. Keep a copy of the "
        "table, compare it with a backup and with the logs of maintain_lake; a restore is taken for right by `spine audit accept`"
    )


class JobFailed(SpineError):
    """A Spark job ended without a result file: killed, out of memory, or its session was lost."""

    code = "JOB_FAILED"
    retryable = True


class StackFailed(SpineError):
    """A part of the embedded stack (PostgreSQL, Spark, the sandbox, Airflow) did not start, or died, or does not answer."""

    code = "STACK_FAILED"
    retryable = True
    http_status = 503


class RunFailed(SpineError):
    """A run ended with failed tasks; everything that could go on did."""

    code = "RUN_FAILED"


class ControlPlaneUnavailable(SpineError):
    """PostgreSQL cannot be reached."""

    code = "CONTROL_UNAVAILABLE"
    retryable = True
    http_status = 503


def _tree(root: type[SpineError]) -> dict[str, type[SpineError]]:
    found = {root.code: root}
    for child in root.__subclasses__():
        found.update(_tree(child))
    return found


def error_from_dict(data: dict[str, Any]) -> SpineError:
    """The error that `as_dict` described; an unknown code becomes JobFailed so that nothing is swallowed."""
    kind = _tree(SpineError).get(str(data.get("code")), JobFailed)
    return kind(
        str(data.get("message", "")),
        hint=str(data.get("hint", "")),
        retry_after=data.get("retry_after"),
        **{str(key): value for key, value in dict(data.get("where") or {}).items()},
    )


def as_ours(error: BaseException, **where: Any) -> SpineError:
    """A failure as one of ours that says where it happened: what is ours gets the facts that it lacks, anything else becomes JobFailed.

    A foreign text is left out, since it may quote a value of somebody's record; the log has its traceback.
    """
    if isinstance(error, SpineError):
        error.where = {**{key: value for key, value in where.items() if value is not None}, **error.where}
        error.args = (error.describe(),)
        return error
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    place = f" in {Path(frame.tb_frame.f_code.co_filename).name}:{frame.tb_lineno}" if frame is not None else ""
    return JobFailed(f"{type(error).__name__}{place}", hint="This is a bug; the log has its traceback", **where)


def together(failures: Sequence[SpineError]) -> SpineError:
    """Several failures as one, of the first one's kind, that says where each happened."""
    first = failures[0]
    if len(failures) == 1:
        return first
    message = "; ".join(f"{', '.join(_place(failure))}: {failure.message}" for failure in failures)
    places: dict[str, Any] = {name: ",".join(sorted({str(failure.where.get(name, "")) for failure in failures})) for name in first.where}
    return type(first)(message, hint=first.hint, **places)


def _place(failure: SpineError) -> list[str]:
    return [str(failure.where[name]) for name in ("entity", "tenant") if name in failure.where]
