"""SLA tiers and our error classes as Airflow understands them: retries, delays, retry policy, latest end."""

from __future__ import annotations

import atexit
import random
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule
from airflow.sdk.definitions.retry_policy import RetryDecision
from airflow.sdk.exceptions import AirflowTaskTimeout

from spine.core import errors
from spine.core.foreign import told
from spine.core.screen import logger

log = logger(__name__)
_FOREIGN = "No failure of ours: the task was stopped, or this is a bug; its traceback is above"
_JITTER = random.SystemRandom()


@dataclass(frozen=True)
class Tier:
    """Retries, their growth, the latest end of a run, the priority of its tasks, by how much the business waits for a source.

    `longest` is the time after which Airflow ends a task that hangs: no promise, but far beyond what a task should take.
    """

    retries: int
    delay: timedelta
    exponential: bool
    deadline: timedelta
    priority: int
    longest: timedelta


TIERS: dict[str, Tier] = {
    "critical": Tier(5, timedelta(seconds=2), True, timedelta(minutes=15), 10, timedelta(hours=1)),
    "standard": Tier(3, timedelta(seconds=2), True, timedelta(hours=2), 5, timedelta(hours=4)),
    "best_effort": Tier(2, timedelta(minutes=1), False, timedelta(hours=24), 1, timedelta(hours=12)),
}
QUICK = timedelta(minutes=15)  # for tasks that only read and write the control plane
GRACE = timedelta(minutes=5)  # beyond a stream's own time: its last request, its last commit


class ErrorTablePolicy(ExceptionRetryPolicy):
    """The error table: our own classes say whether to retry, and a server's Retry-After sets the delay.

    A wait beyond `patience` is no retry: the run would keep the others' rows from Silver, and the next one goes on from the last page.
    The rules are what the UI shows; the decision is taken in the worker on the real exception.
    """

    def __init__(self, patience: timedelta = timedelta(days=1)) -> None:
        self._patience = patience.total_seconds()
        fail = [errors.AuthFailed, errors.SourceRejected, errors.SourceTooLarge, errors.SchemaMismatch, errors.ConfigError]
        fail += [errors.SyncInProgress, errors.QualityFailed, errors.ConservationFailed, errors.DeleteSweepRefused]
        fail += [errors.IdentityConflict, errors.RunFailed, errors.AuditBroken, errors.StreamStopped, errors.FileRefused]
        retry = [errors.RateLimited, errors.CircuitOpen, errors.SourceUnavailable, errors.LakeError, errors.PublishFailed]
        retry += [errors.JobFailed, errors.ControlPlaneUnavailable]
        fail += [errors.SecretUnreadable, errors.NothingToMatch, errors.ApprovalNeeded, errors.PushFailed]
        super().__init__(
            rules=[RetryRule(_path(error), RetryAction.FAIL, reason=error.code) for error in fail]
            + [RetryRule(_path(error), RetryAction.RETRY, reason=error.code) for error in retry]
        )

    def evaluate(self, exception: BaseException, try_number: int, max_tries: int, context: Any = None) -> RetryDecision:
        """Fail what cannot heal, wait as long as the server asks, and leave the rest to the tier's backoff."""
        if isinstance(exception, AirflowTaskTimeout):
            return RetryDecision.fail(reason="it took longer than its tier allows, and would again while others wait")
        if not isinstance(exception, errors.SpineError):
            return RetryDecision.default()
        if not exception.retryable:
            return RetryDecision.fail(reason=exception.code)
        if exception.retry_after is not None and exception.retry_after > self._patience:
            return RetryDecision.fail(reason=f"{exception.code}: others would wait too long; the next run goes on from here")
        if exception.retry_after is not None:
            jitter = _JITTER.uniform(0, 1)
            return RetryDecision.retry(timedelta(seconds=exception.retry_after + jitter), reason=exception.code)
        return RetryDecision.default()


def _path(error: type[errors.SpineError]) -> str:
    return f"{error.__module__}.{error.__qualname__}"


def last_word(context: Any) -> None:
    """Make `[CODE] what, where. What to do` the last line of a failed task's log, and say whether it is tried again.

    Airflow logs the traceback before it calls this and more lines after, so the line waits until the task's process ends.
    """
    error, ti = context.get("exception"), context["ti"]
    ours = error if isinstance(error, errors.SpineError) else errors.SpineError(_named(error), hint=_FOREIGN)
    again = str(getattr(ti.state, "value", ti.state)) == "up_for_retry"
    atexit.register(log.error, "%s", ours.line(f"It is tried again, the {ti.try_number}. of {ti.max_tries} times" if again else ""))


def _named(error: BaseException | None) -> str:
    return f"{type(error).__name__}: {told(error)}" if error else "the task failed"


def default_args(tier: str) -> dict[str, Any]:
    """Airflow's `default_args` of a tier: owner, retries, backoff (jittered by Airflow), time-out, the error table, the last line."""
    chosen = TIERS[tier]
    return {
        "owner": "spine",
        "retries": chosen.retries,
        "retry_delay": chosen.delay,
        "retry_exponential_backoff": 2.0 if chosen.exponential else 0,
        "max_retry_delay": timedelta(seconds=300),
        "retry_policy": ErrorTablePolicy(chosen.deadline),
        "on_failure_callback": last_word,
        "on_retry_callback": last_word,
        "priority_weight": chosen.priority,
        "execution_timeout": chosen.longest,
    }
