"""Connected Data Spine: sources to Bronze, Silver, golden records and PostgreSQL.

Imports go one way:
dags, plugins, spark_jobs -> dagkit, ui, cli, stack -> pipeline -> sources, quality, control, normalize, identity -> http, lake -> core.
"""
