"""A source spec becomes the DAG `sync_<source>`: plan → extract (mapped over connection and stream) → normalize → report → close."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any

from airflow.sdk import DAG, Asset, AssetAlias, CronDataIntervalTimetable, Param, TriggerRule, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException, AirflowTaskTimeout

from spine.core.errors import ConfigError, RunFailed, SpineError, StreamStopped, error_from_dict
from spine.core.names import CONNECTOR_POOL, silver_asset
from spine.dagkit.docs import sync_doc
from spine.dagkit.policies import GRACE, QUICK, default_args
from spine.dagkit.quiet import quiet
from spine.dagkit.sharing import own_share, share
from spine.dagkit.spark import SpineSparkOperator
from spine.dagkit.waiting import waiting_unless_manual, waits_for_all
from spine.sources.check import sound_source
from spine.sources.spec import Source, load_source, source_names

_FAILED = ["failed", "upstream_failed"]
START = datetime(2024, 1, 1, tzinfo=UTC)


def asset(source: str, entity: str) -> Asset:
    """The asset of a Silver table: an event says that it has a new version."""
    return Asset(name=silver_asset(source, entity), uri=f"spine://silver/{source}_{entity}", group="silver")


def news(source: str) -> AssetAlias:
    """What `report` announces: those Silver tables of the source that have changed. A plain outlet would announce all of them each time."""
    return AssetAlias(name=f"silver.{source}", group="silver")


def sync_params(source: Source) -> dict[str, Param]:
    """The trigger form of a source."""
    streams = [stream.name for stream in source.streams]
    return {
        "mode": Param(
            "incremental",
            enum=["incremental", "full", "resync", "renormalize"],
            title="Mode",
            description="incremental: from the cursor. full: everything, then sets the cursor. resync: everything anew, "
            "which replaces what is there once it is whole. renormalize: Silver again from Bronze.",
        ),
        "streams": Param(
            streams,
            type="array",
            items={"type": "string", "enum": streams},
            examples=streams,
            title="Streams",
            description="Streams to read.",
        ),
        "tenants": Param(
            None, type=["null", "array"], items={"type": "string"}, title="Tenants", description="Tenants to read; empty means all of them."
        ),
        "dry_run": Param(False, type="boolean", title="Dry run", description="Read and count; write nothing and move nothing."),
    }


def each_alone(kind: str, names: Iterable[str], build: Callable[[str], DAG], wanted: str | None) -> dict[str, DAG]:
    """The DAG `<kind>_<name>` of each name by its id, or the `wanted` one only; one that cannot be built takes no other down."""
    found = {}
    for name in names:
        dag_id = f"{kind}_{name}"
        if wanted in (None, dag_id):
            with suppress(Exception):  # all DAGs of a file are lost with an error that leaves it
                found[dag_id] = build(name)
    return found


def build_sync_dags(wanted: str | None) -> dict[str, DAG]:
    """The DAG of each sound source by its id, or the `wanted` one only. What is left out takes no other DAG down; `refusals` tells why."""
    return each_alone("sync", source_names(), lambda name: build_sync_dag(sound_source(name)), wanted)


def refusals() -> list[ConfigError]:
    """Why Airflow would not take sources whose declarations are right."""
    found = []
    for name in source_names():
        try:
            _empty_dag(sound_source(name))
        except ConfigError:
            continue  # told by whoever checks declarations
        except Exception as error:
            found.append(ConfigError(f"{name}.yaml makes no DAG: {type(error).__name__}: {error}", hint="Correct the file"))
    return found


def _empty_dag(source: Source) -> DAG:
    """The DAG without its tasks, which are the same for all sources."""
    return DAG(
        dag_id=f"sync_{source.source}",
        dag_display_name=f"Sync {source.label}",
        description=source.description,
        doc_md=sync_doc(source),
        schedule=CronDataIntervalTimetable(source.cron, timezone="UTC"),
        start_date=START,
        catchup=False,
        max_active_runs=1,
        default_args=default_args(source.tier),
        params=sync_params(source),
        tags=["spine", "sync", f"domain:{source.domain}", f"tier:{source.tier}"],
    )


def build_sync_dag(source: Source) -> DAG:
    """The DAG of one source. Touches no network, no database, no Variable."""
    with _empty_dag(source) as dag:
        planned = _plan.override(task_id="plan", execution_timeout=QUICK)(source.source)
        extracted = _extract.override(
            task_id="extract",
            pool=CONNECTOR_POOL,
            max_active_tis_per_dagrun=share(),
            execution_timeout=max(source.time_of(stream) for stream in source.streams) + GRACE,
        ).expand(work=planned)
        normalized = SpineSparkOperator(
            task_id="normalize",
            job="normalize",
            arguments=[
                *("--source", source.source, "--run-id", "{{ run_id }}"),
                *("--tenants", "{{ ','.join(params.tenants or []) }}"),
                "{{ '--renormalize' if params.mode == 'renormalize' else '--incremental' }}",
            ],
            before=_skip_if_nothing_was_read,
            large=partial(_is_large, source.source),
            # Whatever became of extraction: failed streams must not hold up the others, and `renormalize` maps over nothing at all.
            trigger_rule=TriggerRule.ALL_DONE,
        )
        # Whatever became of normalization: a tenant whose rows failed the gate must not hold up the news of the others.
        quick = {"trigger_rule": TriggerRule.ALL_DONE, "execution_timeout": QUICK}
        reported = _report.override(task_id="report", outlets=[news(source.source)], **quick)(source.source)
        closed = _close.override(task_id="close", retries=2, **quick)(source.source)
        [planned, extracted] >> normalized >> reported >> closed
        extracted >> closed
    return dag


def _skip_if_nothing_was_read(context: Any) -> None:
    """Skip normalization in a dry run, and in a run that was refused before it began."""
    if context["params"]["dry_run"] or not _count(context, ["plan"], ["success"]):
        raise AirflowSkipException("nothing was read in this run")


def _is_large(source: str, context: Any) -> bool:
    from spine.pipeline.due import is_large

    return is_large(source, renormalize=context["params"]["mode"] == "renormalize")


def require_success(context: Any, tasks: list[str]) -> None:
    """Raise RunFailed if one of the tasks failed in this run."""
    failed = _count(context, tasks, _FAILED)
    if failed:
        raise RunFailed(f"{failed} task(s) of this run failed", hint="Open their logs; clear them to go on", run=context["run_id"])


def _count(context: Any, tasks: list[str], states: list[str]) -> int:
    """How many instances of the tasks are in these states in this run."""
    count = context["ti"].get_ti_count(dag_id=context["dag"].dag_id, run_ids=[context["run_id"]], task_ids=tasks, states=states)
    return int(count)


@task
@quiet
def _plan(source: str) -> list[dict[str, Any]]:
    """Take the connections' locks, fix the upper bound of every stream's window, open the run."""
    from spine.pipeline.planning import plan
    from spine.pipeline.services import services_from_environment
    from spine.pipeline.work import Sync

    context = get_current_context()
    params, run = context["params"], context["dag_run"]
    backfill = str(getattr(run.run_type, "value", run.run_type)) == "backfill"
    sync = Sync(
        source,
        tenants=params["tenants"] or None,
        streams=params["streams"] or None,
        mode=params["mode"],
        run_id=context["run_id"],
        interval_start=context.get("data_interval_start") if backfill else None,
        interval_end=context.get("data_interval_end") if backfill else None,
        dry_run=params["dry_run"],
        triggered_by=str(getattr(run, "triggering_user_name", None) or getattr(run.run_type, "value", run.run_type)),
    )
    with waiting_unless_manual(run):
        return [work.to_json() for work in plan(sync, services_from_environment(), whole=waits_for_all(run))]


@task(map_index_template="{{ label }}")
@quiet
def _extract(work: dict[str, Any]) -> dict[str, Any]:
    """Read one stream of one tenant into Bronze, for as long as its source's tier allows."""
    from spine.pipeline.extract import extract
    from spine.pipeline.services import services_from_environment
    from spine.pipeline.work import StreamWork

    planned = StreamWork.from_json(work)
    source = load_source(planned.source)
    context, services, allowed = get_current_context(), services_from_environment(), source.time_of(source.stream(planned.stream))
    context["label"] = planned.label
    with waiting_unless_manual(context["dag_run"]), own_share(planned, services, longest=allowed + GRACE):
        try:
            return extract(planned, services, within=allowed.total_seconds()).to_json()
        except AirflowTaskTimeout as error:  # it hung where nobody looks at the time
            raise StreamStopped(
                "the stream hung until its task's time was over", connection=planned.connection_id, stream=planned.stream
            ) from error


@task
@quiet
def _report(source: str) -> dict[str, Any]:
    """Tell the consumers of Silver what is new. One event per changed table, from this one task, whatever was mapped before."""
    context = get_current_context()
    result = context["ti"].xcom_pull(task_ids="normalize")
    if not result:
        raise AirflowSkipException("nothing was normalized in this run")
    events = context["outlet_events"][news(source)]
    for entity, outcome in result["entities"].items():
        if outcome["published"]:
            facts = {"rows": outcome["published"], "quarantined": outcome["quarantined"], "version": outcome["version"]}
            events.add(asset(source, entity), extra=facts)
    return {entity: outcome["published"] for entity, outcome in result["entities"].items()}


@task
@quiet
def _close(source: str) -> dict[str, Any]:
    """Close the run and release its locks, whatever happened; fail if any task before failed, so that the run is red."""
    from spine.pipeline.closing import finish
    from spine.pipeline.services import services_from_environment

    context, services = get_current_context(), services_from_environment()
    works = context["ti"].xcom_pull(task_ids="plan") or []
    tenants = {work["tenant"] for work in works} | set(context["params"]["tenants"] or services.tenants(source))
    failed = _count(context, ["plan", "extract", "normalize", "report"], _FAILED)
    error = RunFailed(f"{failed} task(s) of this run failed", hint="Open their logs; clear them to go on", run=context["run_id"])
    summary = finish(source, context["run_id"], sorted(tenants), services, errors=_after_extraction(context, error))
    if failed:
        raise error
    return summary.to_json()


def _after_extraction(context: Any, error: RunFailed) -> list[SpineError]:
    """What failed after extraction, whose own failures are in the run log: by tenant where the gate refused it, else for all."""
    refused = (context["ti"].xcom_pull(task_ids="normalize") or {}).get("failures", [])
    if refused:
        return [error_from_dict(found) for found in refused]
    return [error] if _count(context, ["normalize", "report"], _FAILED) else []
