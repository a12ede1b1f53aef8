"""Payloads through a mapping, without tables."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from typing import Any

import pytest

from spine.core.entities import Entity, load_entity
from spine.core.mapping import Mapping
from spine.normalize.staging import ENVELOPE, Plan, canonical, parts
from spine.sources.spec import load_source

SCHEMA = ", ".join(f"`{name}` {'timestamp' if name == 'emitted_at' else 'string'}" for name in ENVELOPE)
Normalized = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def normalized(spark: Any) -> Normalized:
    """Canonical rows (as dictionaries, fields at the top) of payloads read as a declared stream, or by a mapping and entity of the test."""

    def run(
        stream: str, *payloads: Any, mapping: Mapping | None = None, entity: Entity | None = None, op: str = "upsert"
    ) -> list[dict[str, Any]]:
        source, name = stream.split(".")
        declared = load_source(source).stream(name)
        plan = Plan(source, name, entity or load_entity(declared.entity), mapping or declared.mapping)
        texts = [payload if isinstance(payload, str) else json.dumps(payload) for payload in payloads]
        moment = dt.datetime(2026, 1, 31, tzinfo=dt.UTC)
        rows = [("acme", source, name, f"r{number}", "c", moment, None, op, text) for number, text in enumerate(texts)]
        found = canonical(parts(spark.createDataFrame(rows, SCHEMA), plan.split), plan, lambda fields: [])
        dicts = [row.asDict(recursive=True) for row in found.collect()]
        return [row | row["fields"] | {"custom_fields": json.loads(row["custom_fields"])} for row in dicts]

    return run
