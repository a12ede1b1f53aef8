"""What stewards said so far and what they say now, as constraints on rows. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spine.identity.golden import overrides
from spine.identity.golden.former import Aligned
from spine.identity.golden.orders import Order, Ruling, rule
from spine.identity.golden.overrides import Override
from spine.identity.golden.scope import Scope
from spine.identity.matching import Constraints


@dataclass(frozen=True)
class Word:
    """The stewards' word: overrides that hold (`active`, and as `constraints` on rows), those to be written, this run's `ruling` if any."""

    active: Sequence[Override]
    written: Sequence[Override]
    constraints: Constraints
    ruling: Ruling | None

    @property
    def touched(self) -> set[str]:
        """References of the records whose entities must be thought over."""
        refs = {ref for item in self.written for ref in (item.left_ref, item.right_ref)}
        return refs if self.ruling is None else refs | self.ruling.touched

    @property
    def restores(self) -> dict[str, str]:
        """The entity ids that records get back where a decision is undone."""
        return {} if self.ruling is None else dict(self.ruling.order.former)


def hear(scope: Scope, aligned: Aligned, order: Order | None) -> Word:
    """The former overrides and what a steward's order makes of them. Raises as `orders.rule`."""
    former = aligned.former
    rejected = former.decided("rejected").to_pylist()
    legacy = overrides.legacy(rejected, former.overrides, scope.run.moment, scope.run.run_id)
    known = [*former.overrides, *legacy]
    if order is None:
        active = [item for item in known if item.active]
        return Word(active, legacy, overrides.constraints(active, aligned.row), None)
    ruling = rule(order, scope, former.entity_of_refs(), known)
    written = [*[item for item in legacy if item not in ruling.written], *ruling.written]
    return Word(ruling.active, written, overrides.constraints(ruling.active, aligned.row), ruling)
