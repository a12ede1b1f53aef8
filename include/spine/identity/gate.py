"""May this outcome become Gold? Judges sizes, weak links and churn against the state before; says which rule failed and by how much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from spine.core.errors import QualityFailed

LARGEST_ENTITY = 100
SIZE_JUMP = 4.0
WEAK_LINK = 0.9
WEAK_SHARE = 0.5
CHURN = 0.3
FEW = 50


def check(
    tenant: str,
    entity: str,
    sizes: Sequence[int],
    weakest: Sequence[float],
    former_largest: int,
    former_ids: int,
    changes: Mapping[str, int],
) -> None:
    """Raises QualityFailed that names the rule, what was found and the limit.

    `sizes` and `weakest` (probability of the weakest link) are of the entities with several records; `changes` counts the kinds of change.
    """
    largest = max(sizes, default=1)
    limit = max(LARGEST_ENTITY, SIZE_JUMP * former_largest)
    if largest > limit:
        _refuse("an entity has too many records", tenant, entity, "cluster_size_jump", largest, limit)
    weak = sum(probability < WEAK_LINK for probability in weakest)
    if len(weakest) >= FEW and weak > WEAK_SHARE * len(weakest):
        _refuse("too many entities hang together by a weak link", tenant, entity, "weak_links", weak / len(weakest), WEAK_SHARE)
    moved = changes.get("merged", 0) + changes.get("split", 0)
    if former_ids >= FEW and moved > CHURN * former_ids:
        _refuse("too many entities merged or split at once", tenant, entity, "id_churn", moved / former_ids, CHURN)


def _refuse(what: str, tenant: str, entity: str, rule: str, found: float, limit: float) -> None:
    raise QualityFailed(
        f"Gold was not written: {what}",
        hint="Look at the newest records for placeholder values or a broken mapping; if the data is right, resolve with relearn",
        tenant=tenant, entity=entity, rule=rule, found=round(found, 3), limit=round(limit, 3),
    )  # fmt: skip
