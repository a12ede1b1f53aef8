"""A way back becomes the DAG `push_<name>`: plan → compare → approve → send → confirm → report, each but the last two ends by tenant."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import DAG, Asset, AssetAny, CronDataIntervalTimetable, Param, TriggerRule, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from spine.core.entities import load_entity
from spine.core.errors import ApprovalNeeded, ConfigError, RunFailed
from spine.core.names import CONNECTOR_POOL
from spine.dagkit.docs import push_doc
from spine.dagkit.policies import QUICK, default_args
from spine.dagkit.quiet import quiet
from spine.dagkit.resolve import gold
from spine.dagkit.sharing import share
from spine.dagkit.sync import START, asset, each_alone
from spine.dagkit.waiting import waiting_unless_manual
from spine.push.check import broken_pushes, sound_push
from spine.push.spec import Push, push_names
from spine.sources.check import entity_names
from spine.sources.spec import load_source, source_names

__all__ = ["broken_pushes", "build_push_dag", "build_push_dags"]
_APPROVE, _REJECT = "Send them", "Send nothing"
_ANSWER = timedelta(days=1)  # how long a person may take


def build_push_dags(wanted: str | None) -> dict[str, DAG]:
    """The DAG of each sound way back by its id, or the `wanted` one only."""
    return each_alone("push", push_names(), lambda name: build_push_dag(sound_push(name)), wanted)


def build_push_dag(push: Push) -> DAG:
    """The DAG of one way back. Touches no network, no database, no Variable."""
    with DAG(
        dag_id=f"push_{push.name}",
        dag_display_name=f"Push {push.label}",
        description=push.description or f"Sends what differs to {push.destination.connector}",
        doc_md=push_doc(push),
        schedule=_schedule(push),
        start_date=START,
        catchup=False,
        max_active_runs=1,
        default_args=default_args(push.tier),
        params=_params(),
        tags=["spine", "push", f"tier:{push.tier}"],
    ) as dag:
        anyhow: dict[str, Any] = {"trigger_rule": TriggerRule.ALL_DONE}  # one tenant's failure does not stop the others
        planned = _plan.override(task_id="plan", execution_timeout=QUICK)(push.name)
        compared = _compare.override(task_id="compare").expand(work=planned)
        approved = Approval(task_id="approve", push=push, **anyhow)
        sending: dict[str, Any] = {**anyhow, "pool": CONNECTOR_POOL, "max_active_tis_per_dagrun": share()}
        sent = _send.override(task_id="send", **sending).expand(work=planned)
        confirmed = _confirm.override(task_id="confirm", **sending).expand(work=planned)
        reported = _report.override(task_id="report", retries=2, execution_timeout=QUICK, **anyhow)()
        compared >> approved >> sent >> confirmed >> reported
    return dag


def _params() -> dict[str, Param]:
    """The trigger form."""
    return {
        "tenants": Param(
            None, type=["null", "array"], items={"type": "string"}, title="Tenants", description="Tenants to push; empty means all of them."
        ),
        "dry_run": Param(False, type="boolean", title="Dry run", description="Compare and show; send and write nothing."),
        "undo": Param(None, type=["null", "string"], title="Undo", description="Id of a run that is taken back, in place of a push."),
    }


def _schedule(push: Push) -> CronDataIntervalTimetable | AssetAny | None:
    """By its own word, else when one of its tables changes; one that is not enabled is never woken."""
    if not push.enabled:
        return None
    if push.schedule:
        return CronDataIntervalTimetable(push.schedule, timezone="UTC")
    assets = _assets(push)
    return AssetAny(*assets) if assets else None


def _assets(push: Push) -> list[Asset]:
    if push.source.connector is not None:
        found = [asset(push.source.connector, load_source(push.source.connector).stream(push.source.object).silver)]
        if push.two_way:
            there, stream = load_source(push.destination.connector), push.destination.stream or push.destination.object
            found += [asset(there.source, one.silver) for one in there.streams if stream in (one.name, one.object)]
        return found
    name = push.source.object
    for entity in entity_names():
        if name in (f"gold.{entity}", load_entity(entity).gold_table):
            return [gold(entity)]
    for source in source_names():
        with suppress(ConfigError):
            silvers = load_source(source).silvers
            if name.startswith(f"{source}_") and name.removeprefix(f"{source}_") in silvers:
                return [asset(source, name.removeprefix(f"{source}_"))]
    return []


class Approval(HITLOperator):
    """Asks a person where a run would change more than its file lets it; passes at once where it would not."""

    def __init__(self, *, push: Push, **kwargs: Any) -> None:
        super().__init__(
            subject=f"{push.label}: may these changes be sent?", options=[_APPROVE, _REJECT], response_timeout=_ANSWER,
            **{**kwargs, "execution_timeout": None},
        )  # fmt: skip
        self.execution_timeout = QUICK  # of the question; how long the answer may take is another time

    def execute(self, context: Any) -> Any:
        """Ask, or pass without a question."""
        from spine.push import running

        found = [running.compared(work, _services()) for work in _works(context)]
        reasons = [f"- {one.work.tenant}: {reason}" for one in found if one is not None for reason in one.reasons]
        if not reasons:
            return {"approved_by": ""}
        self.body = "\n".join([*reasons, "", "`spine push show` lists the changes of this run."])
        return super().execute(context)

    def execute_complete(self, context: Any, event: dict[str, Any]) -> Any:
        """The person's name, if the word was yes."""
        answer = super().execute_complete(context, event)
        user = answer["responded_by_user"] or {}
        return {"approved_by": str(user.get("name") or user.get("id") or "somebody") if answer["chosen_options"] == [_APPROVE] else ""}


def _services() -> Any:
    from spine.pipeline.services import services_from_environment

    return services_from_environment()


def _works(context: Any) -> list[Any]:
    from spine.push.running import PushWork

    return [PushWork.from_json(work) for work in context["ti"].xcom_pull(task_ids="plan") or []]


@task
@quiet
def _plan(name: str) -> list[dict[str, Any]]:
    """Take the lock of each tenant and open the run."""
    from spine.push import running

    context = get_current_context()
    params, run = context["params"], context["dag_run"]
    by = str(getattr(run, "triggering_user_name", None) or getattr(run.run_type, "value", run.run_type))
    with waiting_unless_manual(run):
        works = running.plan(name, context["run_id"], _services(), tenants=params["tenants"] or None, by=by, undoes=params["undo"] or "")
        return [work.to_json() for work in works]


@task(map_index_template="{{ label }}")
@quiet
def _compare(work: dict[str, Any]) -> dict[str, Any]:
    """Find out what has to be sent; nothing is."""
    from spine.push import running

    context = get_current_context()
    context["label"] = work["label"]
    with waiting_unless_manual(context["dag_run"]):
        return running.compare(running.PushWork.from_json(work), _services(), dry=bool(context["params"]["dry_run"])).to_json()


@task(map_index_template="{{ label }}")
@quiet
def _send(work: dict[str, Any]) -> dict[str, Any]:
    """Send what was found, each batch once. Raises ApprovalNeeded if the person's word was no."""
    from spine.push import running

    context, services, planned = get_current_context(), _services(), running.PushWork.from_json(work)
    context["label"] = work["label"]
    found = running.compared(planned, services)
    if found is None:
        raise AirflowSkipException("nothing was compared in this run, or it was a dry run")
    answer = context["ti"].xcom_pull(task_ids="approve") or {}
    try:
        running.require_approved(found, services, by=answer.get("approved_by", ""))
    except ApprovalNeeded as error:
        error.hint = "A person has said no, or nothing. Clear `approve` to ask again"
        raise
    with waiting_unless_manual(context["dag_run"]):
        return running.send(planned, services)


@task(map_index_template="{{ label }}")
@quiet
def _confirm(work: dict[str, Any]) -> dict[str, Any]:
    """See that what was sent is there."""
    from spine.push import running

    context, services, planned = get_current_context(), _services(), running.PushWork.from_json(work)
    context["label"] = work["label"]
    if running.compared(planned, services) is None:
        raise AirflowSkipException("nothing was sent in this run")
    with waiting_unless_manual(context["dag_run"]):
        return running.confirm(planned, services)


@task
@quiet
def _report() -> list[dict[str, Any]]:
    """Close each tenant's run and release its lock, whatever happened; fail if something did not arrive, so that the run is red."""
    from spine.core.errors import PushFailed
    from spine.push import running

    context, services = get_current_context(), _services()
    works = _works(context)
    if context["params"]["dry_run"]:
        for work in works:
            running.cancel(work, services)
        return []
    found = [running.report(work, services) for work in works]
    for work, one in zip(works, found, strict=True):
        try:
            running.require_well(one, work.push)
        except PushFailed as error:
            raise RunFailed(error.message, hint=error.hint, **error.where) from error
    if not works:
        raise RunFailed("the run was not planned", hint="Open the log of `plan`", run=context["run_id"])
    return [one.to_json() for one in found]
