"""Tries all checks on one source: what held, what did not, and what was not tried and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from spine.sandbox.vendor import NotCovered
from spine.sources.spec import Source
from tests.connector_suite.bench import concrete
from tests.connector_suite.checks import CHECKS, Case, Check, streams_for
from tests.connector_suite.protocols import judged_protocol
from tests.connector_suite.relay import SANDBOXES
from tests.connector_suite.stands import STANDS


@dataclass
class Verdict:
    """Of each check the streams on which it held or did not, and those on which it was not tried, with the reason."""

    source: str
    held: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    error: Exception | None = None

    def text(self) -> str:
        """The verdict, a line for each."""
        told = [f"{self.source}: {len(self.held)} held, {len(self.failed)} did not, {len(self.left)} were not tried"]
        return "\n".join([*told, *(f"  FAILED {line}" for line in self.failed), *(f"  left out: {line}" for line in self.left)])


def judged(source: Source, checks: Iterable[Check] = (), where: Mapping[str, Any] | None = None) -> Verdict:
    """The verdict on a source. A stream that the vendor does not understand is left out whole, with what it lacks.

    `where` has servers of protocols that are no HTTP, for sources that speak them.
    """
    found = Verdict(source.source)
    if source.kind in STANDS and not checks:
        found.error = judged_protocol(source, where or {}, found.held, found.failed, found.left)
    elif source.kind != "generic" and source.source not in SANDBOXES:
        found.left.append(f"everything: sources of kind {source.kind} without a sandbox over HTTP have tests of their own")
    else:
        _by_http(concrete(source), checks, found)
    return found


def _by_http(source: Source, checks: Iterable[Check], found: Verdict) -> None:
    cases = {stream.name: Case(source, stream) for stream in source.streams}
    for case in cases.values():
        if why := case.uncovered:
            found.left.append(f"{case.name}: {why}")
    for check in checks or CHECKS.values():
        for stream in streams_for(check, source):
            case, name = cases[stream.name], f"{stream.name}: {check.name}"
            if case.uncovered:
                continue
            if why := check.left(case):
                found.left.append(f"{name}: {why}")
                continue
            try:
                check.run(case)
                found.held.append(name)
            except NotCovered as lacking:
                found.left.append(f"{name}: {lacking}")
            except Exception as error:  # whatever it is, the check did not hold
                found.error = found.error or error
                found.failed.append(f"{name}: {type(error).__name__}: {str(error)[:300]}")
