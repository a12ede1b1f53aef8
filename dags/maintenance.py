"""Care of the lake."""

from spine.dagkit.maintenance import build_maintenance_dag

maintain_lake = build_maintenance_dag()
