"""Connected Data Spine: sources to Bronze, Silver, golden records and PostgreSQL.

Imports go one way:
dags, plugins, spark_jobs -> dagkit, ui, cli -> stack, push -> pipeline -> gold -> matching, events
-> sources, quality, control, normalize, identity -> http, lake -> core. `tests/test_layers.py` holds it, docs/architecture.md explains it.
"""
