"""Where a table lives in the lake, and the options its storage needs."""

from __future__ import annotations

import json

from spine.core.errors import ConfigError
from spine.core.settings import settings


def table_uri(table: str) -> str:
    """Path or URI of a table by its name (`raw_salesforce_contacts`, `gold_party_person`)."""
    return f"{settings().lake}/{table}"


def storage_options() -> dict[str, str]:
    """Options of the lake's object storage for delta-rs; empty for a local folder. Raises ConfigError.

    They come as a JSON object in `SPINE_LAKE_OPTIONS`, which Airflow fills from the Connection `spine_lake`.
    """
    raw = settings().lake_options
    if not raw:
        return {}
    try:
        options = json.loads(raw)
    except json.JSONDecodeError as error:
        raise ConfigError("SPINE_LAKE_OPTIONS is not a JSON object", hint="Check the Connection spine_lake") from error
    return {str(key): str(value) for key, value in options.items()}
