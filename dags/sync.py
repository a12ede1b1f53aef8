"""One DAG per source, from `include/sources/<source>.yaml`. A worker builds only the DAG that it runs.

A broken spec is left out here and reported by `broken_sources.py`, so that it takes no other DAG down.
"""

from airflow.sdk import get_parsing_context

from spine.dagkit.sync import build_sync_dags

globals().update(build_sync_dags(get_parsing_context().dag_id))
