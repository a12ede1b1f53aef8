"""The entities of a business domain that have no identity become the DAG `unite_<domain>`: unite → close, woken by their Silver tables.

One DAG for a domain and one task for union and publication, since both take seconds and need no JVM: what costs is starting a task.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.sdk import DAG, Asset, AssetAlias, AssetAny, TriggerRule, get_current_context, task

from spine.core.entities import Entity
from spine.core.errors import RunFailed, SpineError, as_ours, error_from_dict, together
from spine.dagkit.docs import unite_doc
from spine.dagkit.policies import QUICK, TIERS, default_args
from spine.dagkit.quiet import quiet
from spine.dagkit.resolve import gold
from spine.dagkit.sync import START, asset, require_success


def build_unite_dag(domain: str, entities: Sequence[Entity], feeds: Sequence[tuple[str, str]]) -> DAG:
    """The DAG of a domain; `feeds` are the sources and entities of its Silver tables. Touches no network, no database, no Variable."""
    with DAG(
        dag_id=f"unite_{domain}",
        dag_display_name=f"Unite {domain}",
        description=f"Silver to the Gold of {', '.join(entity.plural for entity in entities)}, published to PostgreSQL",
        doc_md=unite_doc(domain, entities),
        schedule=AssetAny(*_wakers(entities, feeds)) if feeds else None,
        start_date=START,
        catchup=False,
        max_active_runs=1,
        default_args=default_args("critical"),
        tags=["spine", "unite", f"domain:{domain}"],
    ) as dag:
        names = [entity.entity for entity in entities]
        united = _unite.override(task_id="unite", outlets=[news(domain)], execution_timeout=TIERS["standard"].longest)(domain, names)
        united >> _close.override(task_id="close", trigger_rule=TriggerRule.ALL_DONE, execution_timeout=QUICK)()
    return dag


def news(domain: str) -> AssetAlias:
    """What a run announces: those Gold tables of the domain that it has published."""
    return AssetAlias(name=f"gold.{domain}", group="gold")


def _wakers(entities: Sequence[Entity], feeds: Sequence[tuple[str, str]]) -> list[Asset]:
    """The Silver tables that hold the entities, and the golden records that they refer to, whose ids may have changed."""
    referred = sorted({reference.entity for entity in entities for reference in entity.references})
    return [*(asset(source, entity) for source, entity in feeds), *(gold(entity) for entity in referred)]


@task
@quiet
def _unite(domain: str, entities: list[str]) -> dict[str, Any]:
    """Bring each entity's Gold up to date and publish it. One entity's failure does not stop the others."""
    from spine.control.airflow_state import postgres_url
    from spine.gold.publish import publish_each
    from spine.gold.records import silver_tables
    from spine.pipeline.services import services_from_environment
    from spine.pipeline.unite import unite_each

    context = get_current_context()
    database, run_id, events = services_from_environment().database, context["run_id"], context["outlet_events"][news(domain)]
    done: dict[str, Any] = {}
    failed: list[SpineError] = []
    for entity in entities:
        if not silver_tables(entity):
            continue
        try:
            result = unite_each(entity, run_id, database=database)
            refused = result.pop("failures", [])
            if result["version"] is not None:
                published = publish_each(entity, run_id, url=postgres_url())
                refused += published.pop("failures", [])
                result |= {word: published[word] for word in ("published", "inserted", "updated", "deleted")}
            done[entity] = result | ({"failures": refused} if refused else {})
        except Exception as error:  # of this entity alone: told at the end, when the others are done
            failed.append(as_ours(error, entity=entity))
            continue
        if result.get("published"):
            events.add(gold(entity), extra={key: value for key, value in result.items() if isinstance(value, int | str | bool)})
    if failed:
        raise together(failed)
    return done


@task
@quiet
def _close() -> None:
    """Turn the run red if a tenant's rows were refused, which the others do not wait for."""
    context = get_current_context()
    require_success(context, ["unite"])
    done = context["ti"].xcom_pull(task_ids="unite") or {}
    refused = [found for result in done.values() for found in result.get("failures", [])]
    if refused:
        error = together([error_from_dict(found) for found in refused])
        raise RunFailed(f"some tenants keep their former Gold: {error.message}", hint=error.hint, **error.where)
