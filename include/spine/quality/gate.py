"""The gate: Great Expectations judges a profile frame (one row per tenant, one column per table rule) before anything is written.

A value that is null has nothing to judge and passes. A failure of severity `error` closes the gate, a `warning` is only reported.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cache
from typing import Any

from spine.core.entities import Entity, TableRule
from spine.quality.metrics import measured
from spine.quality.profile import Profile


@dataclass(frozen=True)
class Judgement:
    """One table rule on one tenant's rows; `observed` is None where the rule had nothing to judge."""

    rule: str
    metric: str
    field: str | None
    severity: str
    least: float | None
    greatest: float | None
    observed: float | None
    passed: bool

    def sentence(self) -> str:
        """The rule in words, with its limits and what was seen."""
        name = self.metric.replace("_", " ") + (f" of {self.field}" if self.field else "")
        seen = "nothing to judge" if self.observed is None else f"is {self.observed:g}"
        return f"{self.rule}: {name} {seen}, allowed {self.limits()}"

    def limits(self) -> str:
        """The allowed range in words."""
        if self.least is not None and self.greatest is not None:
            return f"{self.least:g} to {self.greatest:g}"
        return f"at most {self.greatest:g}" if self.greatest is not None else f"at least {self.least or 0:g}"

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return asdict(self)


def warm_up() -> threading.Thread:
    """Start importing Great Expectations beside other work: it takes seconds."""
    thread = threading.Thread(target=_library, name="great-expectations-import", daemon=True)
    thread.start()
    return thread


@cache
def _library() -> Any:
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")  # has to be said before the import
    import great_expectations

    return great_expectations


def judge(entity: Entity, profiles: Sequence[Profile], now: datetime) -> dict[str, list[Judgement]]:
    """By tenant: the judgement of each table rule, in the order of the entity's file."""
    rules = entity.table_rules
    if not rules or not profiles:
        return {profile.tenant_id: [] for profile in profiles}
    observed = {rule.name: [measured(profile, rule, now) for profile in profiles] for rule in rules}
    failed = _evaluate(rules, observed)
    return {
        profile.tenant_id: [_judgement(rule, observed[rule.name][place], place in failed[rule.name]) for rule in rules]
        for place, profile in enumerate(profiles)
    }


def _judgement(rule: TableRule, value: float | None, failed: bool) -> Judgement:
    return Judgement(rule.name, rule.metric, rule.field, rule.severity, rule.min, rule.max, value, not failed)


def _evaluate(rules: Sequence[TableRule], observed: dict[str, list[float | None]]) -> dict[str, set[int]]:
    """By rule: the places of the profiles that fail it, as Great Expectations says."""
    gx = _library()
    import pandas as pd
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    frame = pd.DataFrame({name: pd.Series(values, dtype="float64") for name, values in observed.items()})
    frame["place"] = range(len(frame))
    batch = context.data_sources.add_pandas("profile").add_dataframe_asset("staged").add_batch_definition_whole_dataframe("whole")
    suite = context.suites.add(gx.ExpectationSuite(name="table_rules"))
    for rule in rules:
        expectation = gx.expectations.ExpectColumnValuesToBeBetween(
            column=rule.name, min_value=rule.min, max_value=rule.max, meta={"rule": rule.name}
        )
        suite.add_expectation(expectation)
    definition = gx.ValidationDefinition(name="gate", data=batch, suite=suite)
    result = definition.run(
        batch_parameters={"dataframe": frame},
        result_format={"result_format": "COMPLETE", "unexpected_index_column_names": ["place"]},
    )
    return {found.expectation_config.kwargs["column"]: _places(found, len(frame)) for found in result.results}


def _places(found: Any, count: int) -> set[int]:
    """Where an expectation failed; one that failed without saying where (an error inside it) failed everywhere."""
    if found.success:
        return set()
    places = {int(entry["place"]) for entry in found.result.get("unexpected_index_list") or []}
    return places or set(range(count))
