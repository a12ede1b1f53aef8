"""One DAG per source, from `include/sources/<source>.yaml`. A worker builds only the DAG that it runs.

A broken spec is left out here and reported by `broken_sources.py`, so that it takes no other DAG down.
"""

from airflow.sdk import get_parsing_context

from spine.core.errors import ConfigError
from spine.dagkit.sync import build_sync_dag
from spine.sources.spec import load_source, source_names

_wanted = get_parsing_context().dag_id

for _name in source_names():
    if _wanted in (None, f"sync_{_name}"):
        try:
            globals()[f"sync_{_name}"] = build_sync_dag(load_source(_name))
        except ConfigError:
            continue
