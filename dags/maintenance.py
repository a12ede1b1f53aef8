"""Care of the lake: the DAG `maintain_lake`."""

# Airflow reads only files that name both "airflow" and "dag".
from spine.dagkit.maintenance import build_maintenance_dag

maintain_lake = build_maintenance_dag()
