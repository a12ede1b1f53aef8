"""SLA tiers and our error classes as Airflow understands them: retries, delays, retry policy, latest end."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule
from airflow.sdk.definitions.retry_policy import RetryDecision

from spine.core import errors

_JITTER = random.SystemRandom()


@dataclass(frozen=True)
class Tier:
    """Retries, their growth, the latest end of a run, and the priority of its tasks, by how much the business waits for a source."""

    retries: int
    delay: timedelta
    exponential: bool
    deadline: timedelta
    priority: int


TIERS: dict[str, Tier] = {
    "critical": Tier(5, timedelta(seconds=2), True, timedelta(minutes=15), 10),
    "standard": Tier(3, timedelta(seconds=2), True, timedelta(hours=2), 5),
    "best_effort": Tier(2, timedelta(minutes=1), False, timedelta(hours=24), 1),
}


class ErrorTablePolicy(ExceptionRetryPolicy):
    """The error table: our own classes say whether to retry, and a server's Retry-After sets the delay.

    The rules are what the UI shows; the decision is taken in the worker on the real exception.
    """

    def __init__(self) -> None:
        fail = [errors.AuthFailed, errors.SourceRejected, errors.SchemaMismatch, errors.ConfigError, errors.SyncInProgress]
        fail += [errors.QualityFailed, errors.ConservationFailed, errors.DeleteSweepRefused, errors.IdentityConflict, errors.RunFailed]
        retry = [errors.RateLimited, errors.CircuitOpen, errors.SourceUnavailable, errors.LakeError, errors.PublishFailed]
        retry += [errors.JobFailed, errors.ControlPlaneUnavailable]
        super().__init__(
            rules=[RetryRule(_path(error), RetryAction.FAIL, reason=error.code) for error in fail]
            + [RetryRule(_path(error), RetryAction.RETRY, reason=error.code) for error in retry]
        )

    def evaluate(self, exception: BaseException, try_number: int, max_tries: int, context: Any = None) -> RetryDecision:
        """Fail what cannot heal, wait as long as the server asks, and leave the rest to the tier's backoff."""
        if not isinstance(exception, errors.SpineError):
            return RetryDecision.default()
        if not exception.retryable:
            return RetryDecision.fail(reason=exception.code)
        if exception.retry_after is not None:
            jitter = _JITTER.uniform(0, 1)
            return RetryDecision.retry(timedelta(seconds=exception.retry_after + jitter), reason=exception.code)
        return RetryDecision.default()


def _path(error: type[errors.SpineError]) -> str:
    return f"{error.__module__}.{error.__qualname__}"


def default_args(tier: str) -> dict[str, Any]:
    """Airflow's `default_args` of a tier: owner, retries, backoff (jittered by Airflow) and the error table."""
    chosen = TIERS[tier]
    return {
        "owner": "spine",
        "retries": chosen.retries,
        "retry_delay": chosen.delay,
        "retry_exponential_backoff": 2.0 if chosen.exponential else 0,
        "max_retry_delay": timedelta(seconds=300),
        "retry_policy": ErrorTablePolicy(),
        "priority_weight": chosen.priority,
    }
