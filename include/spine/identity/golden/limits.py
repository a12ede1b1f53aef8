"""Limits that an outcome must keep to become Gold: of sizes, weak links, churn, stewards' labels, keys. Says which is passed, and why.

Labels are the pairs that stewards tied or kept apart, judged by their weights alone, as if nobody had said anything. Stewards speak where
the engine errs, so no fixed floor would do: precision and recall may be as low as they were when the stewards spoke, and no lower.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from spine.core.errors import QualityFailed

LARGEST_ENTITY = 100
SIZE_JUMP = 4.0
WEAK_LINK = 0.9
WEAK_SHARE = 0.5
CHURN = 0.3
RELEARNED_CHURN = 0.5  # new weights find more, and part more, than a day's news do
FEW = 50
FEW_LABELS = 20
TOLERANCE = 0.1
HINT = "Look at the newest records for placeholder values or a broken mapping; if the data is right, resolve with --relearn always"


class Rule(StrEnum):
    """What may be passed; the value is its name in messages."""

    CLUSTER_SIZE_JUMP = "cluster_size_jump"
    WEAK_LINKS = "weak_links"
    ID_CHURN = "id_churn"
    RELEARNED_CHURN = "relearned_churn"
    LABEL_PRECISION = "label_precision"
    LABEL_RECALL = "label_recall"
    UNIQUE_KEYS = "unique_keys"


@dataclass(frozen=True)
class Label:
    """A pair that a steward judged: whether it is one entity, and whether its weight says so now and said so then."""

    left_ref: str
    right_ref: str
    one: bool
    now: bool
    then: bool


@dataclass(frozen=True)
class Figures:
    """What is judged. `sizes` and `weakest` (probability of the weakest link) are of the entities with several records.

    `largest_refs` are some records of the largest entity; `former_largest` and `former_ids` are figures of the former Gold; `changes`
    counts kinds; `doubles` are references that several records have, of which Gold could hold one only. `relearned` says why weights are
    new (empty: they are not); `asked` whether a person wants new ones, and so the churn that comes with them.
    """

    sizes: Sequence[int]
    weakest: Sequence[float]
    former_largest: int = 0
    former_ids: int = 0
    changes: Mapping[str, int] = field(default_factory=dict)
    labels: Sequence[Label] = ()
    largest_refs: Sequence[str] = ()
    doubles: Sequence[str] = ()
    relearned: str = ""
    asked: bool = False


def check(tenant: str, entity: str, figures: Figures) -> None:
    """Raises QualityFailed that names the rule, what was found, the limit, and what brought it about."""
    where = {"tenant": tenant, "entity": entity}
    if figures.doubles:
        cause = f"records such as {', '.join(figures.doubles[:3])}"
        _refuse("several records of Silver have one reference", Rule.UNIQUE_KEYS, len(figures.doubles), 0, cause, where)
    largest = max(figures.sizes, default=1)
    limit = max(LARGEST_ENTITY, SIZE_JUMP * figures.former_largest)
    if largest > limit:
        cause = f"records such as {', '.join(figures.largest_refs)}"
        _refuse("an entity has too many records", Rule.CLUSTER_SIZE_JUMP, largest, limit, cause, where)
    weak = sum(probability < WEAK_LINK for probability in figures.weakest)
    if len(figures.weakest) >= FEW and weak > WEAK_SHARE * len(figures.weakest):
        cause = f"{weak} of {len(figures.weakest)} entities with a link below {WEAK_LINK}"
        _refuse("too many entities hang together by a weak link", Rule.WEAK_LINKS, weak / len(figures.weakest), WEAK_SHARE, cause, where)
    _judge_churn(figures, where)
    if len(figures.labels) >= FEW_LABELS:
        _judge_labels(figures.labels, where)


def _judge_churn(figures: Figures, where: Mapping[str, Any]) -> None:
    """New weights may move more entities than news may; what a person asks for is his to judge."""
    merged, split = (figures.changes.get(kind, 0) for kind in ("merged", "split"))
    limit = RELEARNED_CHURN if figures.relearned else CHURN
    if figures.asked or figures.former_ids < FEW or merged + split <= limit * figures.former_ids:
        return
    share, cause = (merged + split) / figures.former_ids, f"{merged} merged and {split} split of {figures.former_ids} entities"
    if not figures.relearned:
        _refuse("too many entities merged or split at once", Rule.ID_CHURN, share, limit, cause, where)
    hint = "Look at a few of them; resolve with --relearn always to have the new weights, with --relearn never to stay with the former"
    what = f"weights were learned anew ({figures.relearned}) and would merge or split too many entities"
    _refuse(what, Rule.RELEARNED_CHURN, share, limit, cause, where, hint)


def agreement(labels: Sequence[Label], then: bool = False) -> tuple[float, float]:
    """Precision and recall of the weights on stewards' labels, now or when they were made; 1 where nothing can be told."""
    said = [(label.one, label.then if then else label.now) for label in labels]
    right = sum(one and together for one, together in said)
    found, true = sum(together for _, together in said), sum(one for one, _ in said)
    return right / found if found else 1.0, right / true if true else 1.0


def _judge_labels(labels: Sequence[Label], where: Mapping[str, Any]) -> None:
    wrong = {
        Rule.LABEL_PRECISION: [label for label in labels if label.now and not label.one],
        Rule.LABEL_RECALL: [label for label in labels if label.one and not label.now],
    }
    words = {Rule.LABEL_PRECISION: "joined pairs that stewards keep apart", Rule.LABEL_RECALL: "parted pairs that stewards tied"}
    for rule, now, then in zip(wrong, agreement(labels), agreement(labels, then=True), strict=True):
        limit = then - TOLERANCE
        if now < limit:
            first = wrong[rule][0]
            cause = f"the weights {words[rule]}: {len(wrong[rule])} of {len(labels)}, such as {first.left_ref} and {first.right_ref}"
            _refuse(f"{rule.replace('label_', '')} on the pairs that stewards judged has fallen", rule, now, limit, cause, where)


def _refuse(what: str, rule: Rule, found: float, limit: float, cause: str, where: Mapping[str, Any], hint: str = HINT) -> None:
    raise QualityFailed(
        f"Gold was not written: {what}",
        hint=hint,
        **where, rule=rule.value, found=round(found, 3), limit=round(limit, 3), cause=cause,
    )  # fmt: skip
