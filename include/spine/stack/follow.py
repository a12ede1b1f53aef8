"""Follows DAG runs from sources through assets to Gold, and says each change of a task's state in one line."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from spine.core import clock
from spine.core.errors import StackFailed
from spine.stack.rest import FINISHED, AirflowApi

Say = Callable[[str], None]
_QUIET = ("none", "None", "scheduled", "queued", "removed")
_IN_WORDS = {"up_for_reschedule": "waits", "up_for_retry": "is tried again"}


@dataclass
class Follower:
    """Watches runs; `say` gets a line for each task that starts or ends."""

    api: AirflowApi
    say: Say
    poll: float = 1.0
    _told: dict[tuple[str, str, str, int], str] = field(default_factory=dict)
    _running: dict[tuple[str, str, str, int], tuple[str, float]] = field(default_factory=dict)

    def doing(self) -> str:
        """What runs now and for how long, for a line where nothing else happens."""
        running = sorted(self._running.values(), key=lambda found: found[1])
        return ", ".join(f"{name} ({time.monotonic() - since:.0f} s)" for name, since in running[:3]) or "waiting for the scheduler"

    def syncs(self, runs: dict[str, str], deadline: float) -> None:
        """Wait for the runs (DAG id to run id). Raises StackFailed that names the failed tasks, or at `deadline` (monotonic seconds)."""
        open_runs = dict(runs)
        while open_runs:
            for dag_id, run_id in list(open_runs.items()):
                self.tell(dag_id, run_id)
                if self.api.run(dag_id, run_id)["state"] in FINISHED:
                    del open_runs[dag_id]
            self._tell_running_resolves()
            self._pause(deadline, f"still running: {', '.join(open_runs)}" if open_runs else "")
        failed = [task for dag_id, run_id in runs.items() for task in self.failed_tasks(dag_id, run_id)]
        if failed:
            raise StackFailed(f"failed: {', '.join(failed)}", hint="Their logs are in the UI")

    def resolves(self, dag_ids: Sequence[str], since: datetime, deadline: float) -> None:
        """Wait until each DAG has ended a run that was queued after `since`, and has none left. Raises StackFailed as `syncs` does."""
        waiting = set(dag_ids)
        while waiting:
            for dag_id in sorted(waiting):
                runs = self.api.runs(dag_id, order_by="-run_after")
                for run in runs[:3]:
                    self.tell(dag_id, str(run["dag_run_id"]))
                if runs and _after(runs[0], since) and all(run["state"] in FINISHED for run in runs):
                    failed = self.failed_tasks(dag_id, str(runs[0]["dag_run_id"]))
                    if failed:
                        raise StackFailed(f"failed: {', '.join(failed)}", hint="Their logs are in the UI")
                    waiting.discard(dag_id)
            self._pause(deadline, f"still waiting for {', '.join(sorted(waiting))}" if waiting else "")

    def woken(self, dag_ids: Sequence[str], waker: str, deadline: float) -> None:
        """Wait for the runs that the newest publication of `waker` has woken. Raises StackFailed as `syncs` does."""
        run = str(self.api.runs(waker, order_by="-run_after")[0]["dag_run_id"])
        ends = [str(task["end_date"]) for task in self.api.task_instances(waker, run) if task["task_id"] == "publish" and task["end_date"]]
        if ends:
            self.resolves(dag_ids, clock.parse(max(ends)), deadline)

    def tell(self, dag_id: str, run_id: str) -> None:
        """Say what changed in a run since the last look."""
        for task in self.api.task_instances(dag_id, run_id):
            key = (dag_id, run_id, str(task["task_id"]), int(task["map_index"]))
            state = str(task["state"])
            if self._told.get(key) == state or state in _QUIET:
                continue
            self._told[key] = state
            self._running.pop(key, None)
            if state == "running":
                self._running[key] = (f"{dag_id} {_name(task)} runs", time.monotonic())
            else:
                self.say(f"{dag_id:<22} {_name(task):<34} {_IN_WORDS.get(state, state + _seconds(task))}")

    def failed_tasks(self, dag_id: str, run_id: str) -> list[str]:
        """Names of the run's failed tasks."""
        return [f"{dag_id}.{_name(task)}" for task in self.api.task_instances(dag_id, run_id) if task["state"] == "failed"]

    def _tell_running_resolves(self) -> None:
        for dag_id in ("resolve_person", "resolve_organization"):
            for run in self.api.runs(dag_id, order_by="-run_after")[:1]:
                self.tell(dag_id, str(run["dag_run_id"]))

    def _pause(self, deadline: float, problem: str) -> None:
        if problem and time.monotonic() > deadline:
            raise StackFailed(problem, hint="See the UI for what holds them up")
        if problem:
            time.sleep(self.poll)


def _name(task: dict[str, Any]) -> str:
    label = task.get("rendered_map_index")
    return f"{task['task_id']} [{label}]" if label else str(task["task_id"])


def _seconds(task: dict[str, Any]) -> str:
    duration = task.get("duration")
    return f"  {float(duration):.1f} s" if duration else ""


def _after(run: dict[str, Any], since: datetime) -> bool:
    return clock.parse(str(run["queued_at"] or run["run_after"])) >= since
