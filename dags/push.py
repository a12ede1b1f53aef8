"""One DAG per way back, from `include/syncs/<name>.yaml`. A worker builds only the DAG that it runs.

A broken file is left out here and reported by `broken_sources.py`, so that it takes no other DAG down.
"""

from airflow.sdk import get_parsing_context

from spine.dagkit.push import build_push_dags

globals().update(build_push_dags(get_parsing_context().dag_id))
