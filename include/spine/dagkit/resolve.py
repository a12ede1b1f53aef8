"""An entity becomes the DAG `resolve_<entity>`: resolve → publish, woken by the Silver tables that hold it."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, Asset, AssetAny, Param, TriggerRule, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from spine.core.entities import Entity
from spine.core.errors import RunFailed, error_from_dict, together
from spine.core.names import gold_asset
from spine.dagkit.docs import resolve_doc
from spine.dagkit.policies import QUICK, TIERS, default_args
from spine.dagkit.quiet import quiet
from spine.dagkit.spark import SpineSparkOperator
from spine.dagkit.sync import START, asset, require_success
from spine.dagkit.waiting import gathering


def build_resolve_dag(entity: Entity, sources: list[str]) -> DAG:
    """The DAG of one entity; `sources` are those whose Silver tables hold it. Touches no network, no database, no Variable."""
    with DAG(
        dag_id=f"resolve_{entity.entity}",
        dag_display_name=f"Resolve {entity.label}",
        description=f"Silver to golden {entity.entity} records, published to PostgreSQL",
        doc_md=resolve_doc(entity),
        schedule=AssetAny(*[asset(source, entity.entity) for source in sources]) if sources else None,
        start_date=START,
        catchup=False,
        max_active_runs=1,
        default_args=default_args("critical"),
        params={
            "relearn": Param(
                "auto",
                enum=["auto", "always", "never", True, False],  # a trigger of former days says yes or no
                title="Relearn",
                description="auto: learn the weights anew once the records have outgrown them. always: now. never: stay with the former.",
            )
        },
        tags=["spine", "resolve", f"domain:{entity.domain}"],
    ) as dag:
        resolved = SpineSparkOperator(
            task_id="resolve",
            job="match_identities",
            arguments=["--entity", entity.entity, "--run-id", "{{ run_id }}", "--relearn", "{{ params.relearn }}"],
            before=gathering(entity.entity),
            execution_timeout=TIERS["standard"].longest,  # a first load, or a relearning of everything
        )
        # One tenant's outcome may be beyond the limits while those of others are in Gold.
        publish = _publish.override(task_id="publish", outlets=[gold(entity.entity)], trigger_rule=TriggerRule.ALL_DONE)(entity.entity)
        closed = _close.override(task_id="close", trigger_rule=TriggerRule.ALL_DONE, execution_timeout=QUICK)()
        resolved >> publish >> closed
    return dag


def gold(entity: str) -> Asset:
    """The asset of a published entity."""
    return Asset(name=gold_asset(entity), uri=f"spine://gold/{entity}", group="gold")


@task
@quiet
def _publish(entity: str) -> dict[str, Any]:
    """Copy Gold to PostgreSQL and swap it in one transaction."""
    from spine.control.airflow_state import postgres_url
    from spine.gold.publish import publish_each

    context = get_current_context()
    if not context["ti"].xcom_pull(task_ids="resolve"):
        raise AirflowSkipException("Gold was not brought up to date in this run")
    result = publish_each(entity, context["run_id"], url=postgres_url())
    context["outlet_events"][gold(entity)].extra = {key: value for key, value in result.items() if isinstance(value, int | str | bool)}
    return result


@task
@quiet
def _close() -> None:
    """Turn the run red if a task before failed, or PostgreSQL refused a tenant's rows, since publication does not wait for every tenant."""
    context = get_current_context()
    require_success(context, ["resolve", "publish"])
    refused = (context["ti"].xcom_pull(task_ids="publish") or {}).get("failures", [])
    if refused:
        error = together([error_from_dict(found) for found in refused])
        raise RunFailed(f"some tenants keep their former publication: {error.message}", hint=error.hint, **error.where)
