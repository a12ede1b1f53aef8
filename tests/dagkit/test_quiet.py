"""What leaves a task: our error alone, without any text of an error of others."""

from __future__ import annotations

import traceback

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from spine.core.errors import JobFailed, LakeError
from spine.dagkit import maintenance, resolve, sync, watch
from spine.dagkit.quiet import quiet
from spine.dagkit.spark import SpineSparkOperator

MARKER = "anna.marker@person.example"


@quiet
def _fails(kind: str) -> int:
    if kind == "skip":
        raise AirflowSkipException(kind)
    try:
        {}[MARKER]
    except KeyError as error:
        if kind == "ours":
            raise LakeError("the table did not open") from error
        if kind == "during":
            raise LakeError("the table did not open")  # noqa: B904 - what is under test
        raise
    return 1


@pytest.mark.parametrize(("kind", "expected"), [("ours", LakeError), ("during", LakeError), ("theirs", JobFailed)])
def test_the_text_of_an_error_of_others_is_neither_raised_nor_logged(kind: str, expected: type, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    with pytest.raises(expected) as caught:
        _fails(kind)
    assert MARKER not in "".join(traceback.format_exception(caught.value))
    assert MARKER not in caplog.text
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_airflows_own_exceptions_and_results_pass() -> None:
    with pytest.raises(AirflowSkipException):
        _fails("skip")
    assert quiet(lambda: 7)() == 7


def test_every_task_is_quiet() -> None:
    """What Airflow calls is what the decorator made; a new task that is forgotten here shows up by its decorator `task`."""
    made = [getattr(module, name) for module in (sync, resolve, maintenance, watch) for name in vars(module)]
    tasks = [one.function for one in made if hasattr(one, "function") and hasattr(one, "override")]
    assert len(tasks) >= 8
    assert all(hasattr(task, "__wrapped__") for task in [*tasks, SpineSparkOperator.execute])
