"""What somebody who watches a run is told of its tasks."""

from __future__ import annotations

from typing import Any

from spine.stack.follow import Follower


class Tasks:
    """Airflow's API, as it answers about the tasks of one run."""

    def __init__(self) -> None:
        self.states: list[str] = []

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        return [{"task_id": "resolve", "map_index": -1, "state": self.states.pop(0), "duration": 1.0, "rendered_map_index": None}]


def test_states_are_told_once_and_in_words() -> None:
    tasks, said = Tasks(), list[str]()
    follower = Follower(tasks, said.append)  # type: ignore[arg-type]
    states = ["queued", "running", "up_for_reschedule", "up_for_reschedule", "running", "up_for_retry", "running", "success", "success"]
    tasks.states = list(states)
    for _ in states:
        follower.tell("resolve_person", "r1")
    assert [" ".join(line.split()[:2]) for line in said] == ["resolve_person resolve"] * 3
    assert [line[57:].strip() for line in said] == ["waits", "is tried again", "success  1.0 s"]
