"""Holds no DAG: reading it fails, with file, line and field, as long as a declaration of a source, an entity or a way back is broken."""

from airflow.sdk import get_parsing_context

from spine.dagkit.push import broken_pushes
from spine.dagkit.sync import refusals
from spine.sources.check import require_valid_declarations

if get_parsing_context().dag_id is None:
    require_valid_declarations([*refusals(), *broken_pushes()])
