"""One DAG per matched entity, from `include/entities/<entity>.yaml`, woken by the Silver tables that hold it."""

from airflow.sdk import get_parsing_context

from spine.dagkit.resolve import build_resolve_dag
from spine.sources.check import matched_entities, sources_of

_wanted = get_parsing_context().dag_id

for _entity in matched_entities():
    if _wanted in (None, f"resolve_{_entity.entity}"):
        globals()[f"resolve_{_entity.entity}"] = build_resolve_dag(_entity, sources_of(_entity.entity) if _wanted is None else [])
