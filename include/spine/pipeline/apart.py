"""A step for all tenants together; where that fails, for halves of them, until those whose rows make it fail are alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from spine.core.errors import ConfigError, LakeError, SpineError, as_ours
from spine.core.screen import logger

log = logger(__name__)
Result = TypeVar("Result")
_NOBODYS_ROWS = (LakeError, ConfigError, OSError)


@dataclass(frozen=True)
class Step(Generic[Result]):
    """What is done for some tenants, for all if None is given: gives its result, and why tenants of them were refused.

    `tenants` are those that have rows in it, and `answers` is False where the machinery itself is gone; both are asked only after a
    failure. `where` is told of what fails.
    """

    work: Callable[[Sequence[str] | None], tuple[Result, Mapping[str, SpineError]]]
    tenants: Callable[[], list[str]]
    answers: Callable[[], bool]
    where: Mapping[str, Any] = field(default_factory=dict)


def together_or_apart(step: Step[Result], chosen: Sequence[str] | None) -> tuple[list[Result], dict[str, SpineError]]:
    """The results, and the tenants that failed with why; the others' work is done.

    What fails for each and every tenant is nobody's rows: it is raised as it was, and so is what the lake or a declaration is the cause of.
    """
    try:
        found, refused = step.work(chosen)
        return [found], dict(refused)
    except _NOBODYS_ROWS:
        raise
    except Exception as error:
        tenants = step.tenants()
        if len(tenants) < 2 or not step.answers():
            raise
        log.warning("%s: tenants are worked for apart, since together they fail", step.where.get("entity"), exc_info=True)
        results, failures = _by_halves(step, tenants)
        if len(failures) == len(tenants):
            raise error from None
        return results, failures


def _by_halves(step: Step[Result], tenants: list[str]) -> tuple[list[Result], dict[str, SpineError]]:
    results: list[Result] = []
    failures: dict[str, SpineError] = {}
    middle = len(tenants) // 2
    for half in (tenants[:middle], tenants[middle:]):
        try:
            found, refused = step.work(half)
            results.append(found)
            failures |= refused
        except _NOBODYS_ROWS:
            raise
        except Exception as error:
            if len(half) > 1:
                more, failed = _by_halves(step, half)
                results += more
                failures |= failed
            else:
                log.warning("%s of %s failed", step.where.get("entity"), half[0], exc_info=True)
                failures[half[0]] = as_ours(error, tenant=half[0], **step.where)
    return results, failures
