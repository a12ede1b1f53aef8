"""The frame of every Spark job: run, then leave a result file that says what happened, so that no caller parses a log."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from spine.core.errors import JobFailed, SpineError, error_from_dict, together
from spine.core.foreign import frames_of, unforeseen
from spine.core.screen import say


def run_job(work: Callable[[], dict[str, Any]], result_file: Path | None) -> int:
    """Run `work` and write `{"ok": …, "result" and/or "error": …}` to `result_file`; returns the process's exit code.

    A result with `failures` is that of a job that failed for some and was done for others: then there is an error too.
    """
    try:
        result = work()
        outcome: dict[str, Any] = {"ok": True, "result": result}
        if result.get("failures"):
            failure = together([error_from_dict(found) for found in result["failures"]])
            say(failure.describe(), err=True)
            outcome = {"ok": False, "result": result, "error": failure.as_dict()}
    except SpineError as error:
        outcome = {"ok": False, "error": error.as_dict()}
        say(error.describe(), err=True)
    except Exception as error:
        say(frames_of(error), err=True)
        outcome = {"ok": False, "error": unforeseen(error).as_dict()}
    if result_file is not None:
        _write(result_file, outcome)
    return 0 if outcome["ok"] else 1


def read_result(result_file: Path, job: str) -> dict[str, Any]:
    """What a job left. Raises the job's own error, or JobFailed when it died without a word."""
    result, error = read_outcome(result_file, job)
    if error is not None:
        raise error
    return result


def read_outcome(result_file: Path, job: str) -> tuple[dict[str, Any], SpineError | None]:
    """A job's result, empty if it had none, and its error. Raises JobFailed when it died without a word."""
    if not result_file.is_file():
        raise JobFailed(f"{job} ended without a result", hint="It was killed or ran out of memory; it is safe to run it again", job=job)
    outcome = orjson.loads(result_file.read_bytes())
    return outcome.get("result") or {}, None if outcome["ok"] else error_from_dict(outcome["error"])


def _write(path: Path, outcome: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_bytes(orjson.dumps(outcome, default=str))
    partial.replace(path)
