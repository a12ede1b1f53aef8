"""One tenant's records and its former Gold -> what has to change in Gold. Arrow in, Arrow out; no I/O, no engine.

Only pairs that touch a changed record are compared, only components that such a pair or a steward's order touches are divided anew. Since
weights, rarities and blocking keys are frozen in the model, the outcome is that of a full run with the same model.

The steps, each a value that is handed on: records and *former* Gold aligned (what the run before left is *former* everywhere), the news,
the stewards' word, the weighed pairs, the divided entities, their ids. Then all of it is judged, and written as rows.
"""

from __future__ import annotations

from collections.abc import Collection

import pyarrow as pa

from spine.core.errors import ConfigError
from spine.identity.engine import LocalPairing, Pairing, make_plan
from spine.identity.golden.dividing import divide
from spine.identity.golden.former import FormerGold, align, find_news
from spine.identity.golden.identifying import identify
from spine.identity.golden.judging import judge
from spine.identity.golden.orders import Order
from spine.identity.golden.outcome import Outcome, outcome_of
from spine.identity.golden.resolved import Resolved
from spine.identity.golden.scope import Scope
from spine.identity.golden.stewards import hear
from spine.identity.golden.weighing import weigh
from spine.identity.learning.growth import Relearn


def resolve_tenant(
    scope: Scope,
    records: pa.Table,
    former: FormerGold,
    changed: Collection[str] | None,
    *,
    relearn: Relearn = "auto",
    pairing: Pairing | None = None,
    order: Order | None = None,
) -> Outcome:
    """What a tenant's Gold must become, given its live `records`, which references `changed` (None: all may have), and a steward's `order`.

    `relearn` says when weights are learned anew: once the records have outgrown them, always, or never.

    Raises ConfigError if the entity has no matching rules or the order names what is not there, IdentityConflict if it contradicts another
    one, QualityFailed if the outcome is beyond the limits of what may become Gold.
    """
    if scope.entity.matching is None:
        raise ConfigError(f"entity {scope.name} has no matching rules", hint="Add a matching block with attribute kinds")
    plan, aligned = make_plan(scope.entity.matching), align(records, former)
    news, word = find_news(aligned, changed, plan, relearn, some=order is not None), hear(scope, aligned, order)
    if not news.changed.any() and not len(aligned.gone) and not word.written:
        return Outcome()
    weighed = weigh(plan, aligned, news, pairing or LocalPairing(), scope.threshold)
    divided = divide(scope, aligned, news, word, weighed)
    resolved = Resolved(scope, aligned, news, word, weighed, divided, identify(scope, aligned, word, divided))
    judge(resolved)
    return outcome_of(resolved)
