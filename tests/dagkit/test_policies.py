"""The error table as Airflow acts on it."""

import subprocess
import sys
from datetime import timedelta

import pytest
from airflow.sdk import RetryAction
from airflow.sdk.exceptions import AirflowTaskTimeout

from spine.core import errors
from spine.dagkit import policies


def decide(error: BaseException):  # type: ignore[no-untyped-def]
    return policies.ErrorTablePolicy().evaluate(error, 1, 5)


@pytest.mark.parametrize(
    "kind", [errors.AuthFailed, errors.SchemaMismatch, errors.SyncInProgress, errors.QualityFailed, errors.ConfigError]
)
def test_what_cannot_heal_fails_at_once(kind: type[errors.SpineError]) -> None:
    decision = decide(kind("x"))
    assert decision.action is RetryAction.FAIL
    assert decision.reason == kind.code


def test_a_rate_limit_waits_as_long_as_the_server_asks() -> None:
    decision = decide(errors.RateLimited("x", retry_after=42))
    assert decision.action is RetryAction.RETRY
    assert timedelta(seconds=42) <= decision.retry_delay <= timedelta(seconds=43)


@pytest.mark.parametrize(("tier", "minutes"), [("critical", 15), ("standard", 120), ("best_effort", 24 * 60)])
def test_a_wait_that_would_keep_others_from_silver_is_the_next_runs(tier: str, minutes: int) -> None:
    policy = policies.default_args(tier)["retry_policy"]
    for kind in (errors.RateLimited, errors.SourceUnavailable):
        assert policy.evaluate(kind("x", retry_after=minutes * 60 - 1), 1, 5).action is RetryAction.RETRY
        assert policy.evaluate(kind("x", retry_after=minutes * 60 + 1), 1, 5).action is RetryAction.FAIL


def test_what_hung_is_not_tried_again_while_others_wait() -> None:
    assert decide(AirflowTaskTimeout("x")).action is RetryAction.FAIL
    assert decide(errors.StreamStopped("x")).action is RetryAction.FAIL


@pytest.mark.parametrize("error", [errors.SourceUnavailable("x"), errors.JobFailed("x"), ValueError("x")])
def test_the_rest_follows_the_tier(error: BaseException) -> None:
    assert decide(error).action is RetryAction.DEFAULT


def test_the_ui_is_told_the_whole_table() -> None:
    rules = policies.ErrorTablePolicy().serialize()["rules"]
    assert {"exception": "spine.core.errors.AuthFailed", "action": "fail"}.items() <= rules[0].items()


def test_every_error_class_is_in_the_table() -> None:
    listed = {rule.exception for rule in policies.ErrorTablePolicy().rules}

    def leaves(kind: type[errors.SpineError]) -> list[type[errors.SpineError]]:
        children = [child for child in kind.__subclasses__() if child.__module__ == errors.__name__]
        return [leaf for child in children for leaf in leaves(child)] or [kind]

    in_tasks = set(leaves(errors.SpineError)) - {errors.StackFailed} | {errors.ConfigError}  # starting the services is no task
    assert {f"spine.core.errors.{kind.__name__}" for kind in in_tasks} == listed


@pytest.mark.parametrize(("tier", "retries", "exponential"), [("critical", 5, True), ("standard", 3, True), ("best_effort", 2, False)])
def test_tiers_set_retries_and_backoff(tier: str, retries: int, exponential: bool) -> None:
    args = policies.default_args(tier)
    assert args["retries"] == retries
    assert bool(args["retry_exponential_backoff"]) is exponential


@pytest.mark.parametrize(
    ("error", "state", "line"),
    [
        ("LakeError('busy', table='t')", "up_for_retry", "[LAKE_FAILED] busy (table=t). It is tried again, the 2. of 5 times"),
        ("LakeError('busy', table='t')", "failed", "[LAKE_FAILED] busy (table=t)"),
        ("ConfigError('wrong\\nfield', hint='Correct it')", "failed", "[CONFIG_INVALID] wrong field. Correct it"),
        ("KeyError('anna@marker.example')", "failed", "[SPINE_ERROR] KeyError: …. No failure of ours"),
    ],
)
def test_the_last_line_of_a_failed_tasks_log_is_ours(error: str, state: str, line: str) -> None:
    """Whatever is logged after the callbacks: a task's process ends by Python's exit handlers, before its log is closed."""
    code = f"""
import logging, types
from spine.core.errors import *
from spine.dagkit.policies import default_args
logging.basicConfig(format="%(message)s", force=True)
ti = types.SimpleNamespace(state={state!r}, try_number=2, max_tries=5)
which = "on_retry_callback" if {state!r} == "up_for_retry" else "on_failure_callback"
default_args("critical")[which]({{"exception": {error}, "ti": ti}})
logging.error("::endgroup::")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-2:][0] == "::endgroup::"
    assert done.stderr.splitlines()[-1].startswith(line)
    assert ("tried again" in done.stderr) == (state == "up_for_retry")
