"""What the gate said, kept: one JSON file and one self-contained page per run, table and tenant.

A page holds rules, limits, observed aggregates and counts of reasons: no value of any row. Where a run covers several tenants, each has its
own page and the common one only says how many tenants pass each rule.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import orjson
from jinja2 import Environment, PackageLoader, StrictUndefined

from spine.core.clock import to_text
from spine.core.entities import Entity
from spine.core.settings import settings
from spine.quality.gate import Judgement
from spine.quality.profile import Profile
from spine.quality.rules import row_rules

# What every entity is judged by, whatever its own rules.
_GENERAL = {
    "readable": "the record could not be read; its own reason is in quarantine",
    "key": "the record has no id, or a longer one than an index can hold",
    "type": "the value does not convert to the field's type",
    "script": "the mapping's script failed at the value",
}


@dataclass(frozen=True)
class Verdict:
    """The gate's answer for one tenant's rows of a table."""

    profile: Profile
    judgements: Sequence[Judgement]
    reasons: Sequence[dict[str, Any]]

    @property
    def errors(self) -> list[Judgement]:
        """The failed judgements that close the gate."""
        return [judgement for judgement in self.judgements if not judgement.passed and judgement.severity == "error"]

    def as_dict(self, entity: Entity) -> dict[str, Any]:
        """JSON-ready values of this tenant alone."""
        texts = _GENERAL | {rule.name: rule.reason for rule in row_rules(entity)}
        return {
            "tenant_id": self.profile.tenant_id,
            "passed": not self.errors,
            "rows_in": self.profile.rows_in,
            "outcomes": self.profile.outcomes,
            "newest": to_text(self.profile.newest) if self.profile.newest else None,
            "rules": [judgement.as_dict() | {"limits": judgement.limits()} for judgement in self.judgements],
            "reasons": [reason | {"text": texts.get(reason["rule"], "")} for reason in self.reasons],
        }


@dataclass(frozen=True)
class Subject:
    """What was judged: a run's rows for one Silver table."""

    run_id: str
    source: str
    entity: Entity
    moment: datetime

    @property
    def name(self) -> str:
        """File name of the report without suffix."""
        return f"{self.source}_{self.entity.entity}"

    def facts(self) -> dict[str, Any]:
        """Run, source, entity and time as JSON-ready values."""
        return {"run_id": self.run_id, "source": self.source, "entity": self.entity.entity, "judged_at": to_text(self.moment)}


def run_folder(run_id: str) -> Path:
    """Where a run's reports are, whether or not there are any."""
    return settings().validations / _safe(run_id)


def write_report(subject: Subject, verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Write the files below `settings().validations/<run id>/`; returns `passed`, `page`, `json` and `pages` by tenant."""
    folder = run_folder(subject.run_id)
    folder.mkdir(parents=True, exist_ok=True)
    single = len(verdicts) == 1
    pages = {}
    for verdict in verdicts:
        tenant = verdict.profile.tenant_id
        stem = subject.name if single else f"{subject.name}__{_safe(tenant)}"
        pages[tenant] = str(_write(folder / stem, subject, verdict.as_dict(subject.entity)))
    if not single:
        _write(folder / subject.name, subject, _common(verdicts))
    page = folder / f"{subject.name}.html"
    passed = not any(verdict.errors for verdict in verdicts)
    return {"passed": passed, "page": str(page), "json": str(page.with_suffix(".json")), "pages": pages}


def _common(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """What may be shown of several tenants together: how many pass each rule, and nothing else."""
    rules = []
    for judgements in zip(*(verdict.judgements for verdict in verdicts), strict=True):
        good = sum(judgement.passed for judgement in judgements)
        facts = judgements[0].as_dict() | {"limits": judgements[0].limits()}
        rules.append(facts | {"observed": None, "passed": good == len(judgements), "tenants": f"{good} of {len(judgements)} tenants pass"})
    return {
        "tenant_id": None,
        "passed": not any(verdict.errors for verdict in verdicts),
        "tenants": len(verdicts),
        "rules": rules,
    }


def _write(stem: Path, subject: Subject, verdict: dict[str, Any]) -> Path:
    content = subject.facts() | verdict
    _replace(stem.with_name(f"{stem.name}.json"), orjson.dumps(content, option=orjson.OPT_INDENT_2))
    page = stem.with_name(f"{stem.name}.html")
    _replace(page, _template().render(verdict=content, label=subject.entity.label).encode())
    return page


def _replace(path: Path, content: bytes) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_bytes(content)
    partial.replace(path)


def _safe(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_.+:" else "_" for letter in name).lstrip(".") or "_"


@cache
def _template() -> Any:
    return Environment(loader=PackageLoader("spine.quality"), autoescape=True, undefined=StrictUndefined).get_template("validation.html.j2")
