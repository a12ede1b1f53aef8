"""Late runs, ending credentials, notifications: the DAG `watch_runs`."""

# Airflow reads only files that name both "airflow" and "dag".
from spine.dagkit.watch import build_watch_dag

watch_runs = build_watch_dag()
