"""Turns a spec into a DAG. The only place that maps our errors to retries."""
