"""The figures of a resolution that decide whether it may become Gold. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from spine.identity.golden import limits, overrides
from spine.identity.golden.columns import codes
from spine.identity.golden.resolved import Resolved
from spine.identity.golden.weighing import weights_of

Array: TypeAlias = Any  # numpy arrays of many element types


def judge(r: Resolved) -> None:
    """Raises QualityFailed if a limit is passed."""
    limits.check(r.scope.tenant, r.scope.name, _figures(r))


def _figures(r: Resolved) -> limits.Figures:
    former = Counter(r.aligned.former.links.column("entity_id").value_counts().field("counts").to_pylist())
    number, _ = codes(pa.array(r.identified.now, pa.string()))
    sizes = _distinct_records(number, r.weighed.copies.first)
    largest = np.flatnonzero(number == sizes.argmax())[:3].tolist()
    return limits.Figures(
        sizes=sizes[sizes > 1].tolist(),
        weakest=list(r.divided.clusters.weakest.values()),
        former_largest=max(former, default=0),
        former_ids=former.total(),
        changes=Counter(change.kind for change in r.identified.assigned.changes),
        labels=_labels(r),
        largest_refs=[r.aligned.refs[row] for row in largest],
        doubles=_doubles(r.aligned.refs),
        relearned=r.news.learning.why if r.weighed.learned else "",
        asked=r.news.learning.asked,
    )


def _distinct_records(number: Array, first: Array) -> Array:
    """Records of each entity, of which those with the same values count as one: a file that came ten times is no suspicious entity."""
    rows = np.int64(max(1, len(first)))
    return np.bincount(np.unique(number * rows + first) // rows, minlength=1)


def _doubles(refs: Sequence[str]) -> list[str]:
    return [] if len(set(refs)) == len(refs) else [ref for ref, count in Counter(refs).items() if count > 1]


def _labels(r: Resolved) -> list[limits.Label]:
    """What the weights alone say of the pairs that stewards judged, now and when they did."""
    pairs = {(item.left_ref, item.right_ref): item for item in r.word.active if item.weight is not None}
    return [
        limits.Label(*pair, pairs[pair].kind == overrides.MUST, r.scope.strong(weight), r.scope.strong(pairs[pair].weight or 0.0))
        for pair, weight in weights_of(r.aligned, r.weighed, pairs).items()
    ]
