"""`make demo`: sandbox vendors to golden records in PostgreSQL, through the real scheduler, with a report at the end.

Safe to run again: the second time the vendors change a little, and only that is read. The exit code is 0 only if every layer holds
what it should.
"""

from __future__ import annotations

import csv
import io
import sys
import time
from typing import Annotated

import requests
import typer
from rich.console import Console
from rich.markup import escape

from spine.core import clock, screen
from spine.core.errors import SpineError, StackFailed
from spine.core.names import DEFAULT_TENANT, record_ref
from spine.core.settings import settings
from spine.stack import airflow, report, supervisor
from spine.stack.analysts import TRUST, AnalystLogin
from spine.stack.follow import Follower
from spine.stack.rest import FINISHED, AirflowApi
from spine.stack.vendors import introduce
from spine.stack.voice import Voice

SYNCS = ("sync_salesforce", "sync_hubspot", "sync_people_files")
RESOLVES = ("resolve_person", "resolve_organization")
UNITES = ("unite_revenue",)
_TIMEOUT = 900.0
_SCHEDULED_WITHIN = 8.0
_ASK_FOR_MORE = """
[bold]Ask for more[/]
  SELECT * FROM gold.person ORDER BY record_count DESC LIMIT 10;
  SELECT left_ref, right_ref, why FROM gold.person_matches ORDER BY probability LIMIT 10;
  SELECT p.email, s.source, s.record_id FROM gold.person p JOIN gold.person_sources s USING (entity_id) LIMIT 20;
  .venv/bin/spine query "SELECT source, count(*) FROM salesforce_person GROUP BY source"
"""
_CHANGES = (
    {"source": "salesforce", "stream": "contacts"},
    {"source": "hubspot", "stream": "companies"},
    {"source": "hubspot", "stream": "contacts"},
)


def main(scale: Annotated[int, typer.Option(help="real persons in the sandbox's world; counts at the first start only")] = 1000) -> None:
    """Run the demo."""
    console = screen.console(highlight=False, soft_wrap=True, markup=True)

    def put(seconds: float, line: str) -> None:
        console.print(f"[dim]{seconds:5.0f} s[/]  {escape(line)}")

    try:
        with Voice(put) as say:
            problems = _run(console, say, scale)
    except SpineError as error:
        console.print(f"[red]{escape(str(error))}[/]")
        sys.exit(1)
    say("done" if not problems else f"not as it should be: {'; '.join(problems)}")
    sys.exit(1 if problems else 0)


def _run(console: Console, say: Voice, scale: int) -> list[str]:
    say.doing = lambda: "starting the stack"
    stack = supervisor.up(say, scale=scale)
    api = airflow.api()
    introduce(api, stack.sandbox_url, settings().home / "sandbox" / "drop", [DEFAULT_TENANT])
    before = _versions()
    if before:
        changed = _let_the_world_move(stack.sandbox_url)
        say(f"second run: {changed} records changed in the vendors' systems; only those are read")
    since = clock.now()
    deadline = time.monotonic() + _TIMEOUT
    for dag_id in (*RESOLVES, *UNITES):
        api.pause(dag_id, paused=False)
    runs = {dag_id: _start(api, dag_id) for dag_id in SYNCS}
    follower = Follower(api, say)
    say.doing = follower.doing
    follower.syncs(runs, deadline)
    follower.resolves((*RESOLVES, *UNITES), since, deadline)
    follower.woken(UNITES, "resolve_organization", deadline)
    say.doing = lambda: "reading Gold"
    found = report.collect(stack.gold.url, _truth(stack.sandbox_url))
    say.doing = lambda: ""
    report.show(found, console)
    _show_reading(api, runs, before, console)
    _show_addresses(stack.gold, console)
    return found.problems


def _start(api: AirflowApi, dag_id: str) -> str:
    """Unpause a DAG and return the run to follow: one that is under way, or a new one.

    A DAG that was paused gets its last scheduled interval at once, so a triggered run beside it would read everything twice.
    """
    was_paused = bool(api.call("GET", f"/dags/{dag_id}")["is_paused"])
    api.pause(dag_id, paused=False)
    due = time.monotonic() + (_SCHEDULED_WITHIN if was_paused else 0)
    while True:
        unfinished = [run for run in api.runs(dag_id, order_by="-run_after") if run["state"] not in FINISHED]
        if unfinished:
            return str(unfinished[0]["dag_run_id"])
        if time.monotonic() >= due:
            return api.trigger(dag_id)
        time.sleep(0.5)


def _versions() -> dict[str, int]:
    return {name: version for layer, name, _, version in report._table_rows(DEFAULT_TENANT) if layer == "Silver"}


def _let_the_world_move(sandbox: str) -> int:
    total = 0
    for change in _CHANGES:
        body = {**change, "tenant": DEFAULT_TENANT, "changed": 12, "created": 3, "deleted": 1}
        answer = requests.post(f"{sandbox}/_sandbox/advance", json=body, timeout=30)
        if not answer.ok:
            raise StackFailed(f"the sandbox answered {answer.status_code}: {answer.text[:200]}")
        total += sum(len(ids) for ids in answer.json().values() if isinstance(ids, list))
    return total


def _truth(sandbox: str) -> dict[str, dict[str, str]]:
    """entity -> record reference -> true id, of the default tenant."""
    answer = requests.get(f"{sandbox}/_sandbox/truth", timeout=60)
    found: dict[str, dict[str, str]] = {"person": {}, "organization": {}}
    for row in csv.DictReader(io.StringIO(answer.text)):
        if row["tenant"] == DEFAULT_TENANT and row["entity"] in found:
            found[row["entity"]][record_ref(row["source"], row["stream"], row["record_id"])] = row["true_id"]
    return found


def _show_reading(api: AirflowApi, runs: dict[str, str], before: dict[str, int], console: Console) -> None:
    console.print()
    for dag_id, run_id in runs.items():
        summary = api.xcom(dag_id, run_id, "close") or {}
        how = "incremental" if before else "first run, everything"
        console.print(f"{dag_id:<18} {summary.get('rows', 0):>6,} records read ({how})")


def _show_addresses(gold: AnalystLogin, console: Console) -> None:
    console.print(_ASK_FOR_MORE)
    console.print(f"  {gold.command}\n  [dim]{TRUST}[/]", soft_wrap=True)
    console.print(
        f"\n[bold]Airflow[/]  {airflow.url()}   user admin, password {airflow.password()}\nStop everything with [bold]make down[/].\n"
    )


if __name__ == "__main__":
    typer.run(main)
