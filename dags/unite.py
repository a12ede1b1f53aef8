"""One DAG per business domain for the entities without identity, from `include/entities`, woken by the Silver tables that hold them."""

from airflow.sdk import get_parsing_context

from spine.dagkit.unite import build_unite_dag
from spine.sources.check import sources_of, united_entities

_wanted = get_parsing_context().dag_id
_domains = sorted({entity.domain for entity in united_entities()})

for _domain in _domains:
    if _wanted in (None, f"unite_{_domain}"):
        _entities = [entity for entity in united_entities() if entity.domain == _domain]
        _feeds = [(source, entity.entity) for entity in _entities for source in sources_of(entity.entity)] if _wanted is None else []
        globals()[f"unite_{_domain}"] = build_unite_dag(_domain, _entities, _feeds)
