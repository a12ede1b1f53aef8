"""Which entities there are now: what a change touches is divided anew, the rest stays as it is linked. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from spine.identity.clustering import cluster
from spine.identity.clustering.cluster import Clusters
from spine.identity.clustering.copies import cluster_copies
from spine.identity.clustering.touched import touched
from spine.identity.engine import Candidates
from spine.identity.golden.columns import codes
from spine.identity.golden.former import Aligned, News
from spine.identity.golden.scope import Scope
from spine.identity.golden.stewards import Word
from spine.identity.golden.weighing import Edges, Weighed, strong_edges
from spine.identity.matching import Conflict, PairEvidence, find_conflicts

Array: TypeAlias = Any  # numpy arrays of many element types


@dataclass(frozen=True)
class Divided:
    """The touched rows (a flag per row), their entities, and the strong pairs that were left apart, by their two rows."""

    touched: Array
    clusters: Clusters
    conflicts: Mapping[tuple[int, int], Conflict]

    @property
    def rows(self) -> Array:
        """The rows that are touched."""
        return np.flatnonzero(self.touched)


def divide(scope: Scope, aligned: Aligned, news: News, word: Word, weighed: Weighed) -> Divided:
    """Divides the components of strong pairs and stewards' ties that a change touches."""
    edges, must = strong_edges(scope, aligned, weighed), word.constraints.must
    component = cluster.components(len(aligned.refs), np.r_[edges.left, must[:, 0]], np.r_[edges.right, must[:, 1]])
    number, _ = codes(pa.array(aligned.was, pa.string()).fill_null(""))
    entity: Array = np.where(aligned.linked >= 0, number, -1)
    anew = touched(_reached(aligned, news, word, weighed), component, entity)
    evidence = weighed.evidence(word.constraints.never)
    edges, must = edges.inside(anew), must[anew[must[:, 0]]]
    clusters = cluster_copies(
        weighed.copies.first, edges.left, edges.right, edges.weight, evidence, scope.threshold, must, word.constraints.never
    )
    return Divided(anew, clusters, _conflicts(scope, clusters, edges, evidence))


def _conflicts(scope: Scope, clusters: Clusters, edges: Edges, evidence: PairEvidence) -> dict[tuple[int, int], Conflict]:
    none: Array = np.zeros(len(edges.left), dtype=np.int64)
    strong: Array = np.ones(len(none), dtype=bool)
    across = scope.matching.link == "across_sources"
    found = find_conflicts(clusters, Candidates(edges.left, edges.right, none, none, none), strong, evidence, across)
    return {(min(item.row, *item.rivals), max(item.row, *item.rivals)): item for item in found}


def _reached(aligned: Aligned, news: News, word: Word, weighed: Weighed) -> Array:
    """Rows that changed, lost a partner of a pair or of their entity, or that stewards speak of."""
    found: Array = weighed.regrouped | weighed.recounted
    for one, other in ((aligned.left, aligned.right), (aligned.right, aligned.left)):
        lost = (one >= 0) & ~weighed.holds
        lost[lost] &= (other[lost] < 0) | news.changed[other[lost]]
        found[one[lost]] = True
    found[aligned.rows_of(word.touched)] = True
    return found | _bereft(aligned, word)


def _bereft(aligned: Aligned, word: Word) -> Array:
    """Rows of former entities that lost a record or to which an undone decision gives records back."""
    bereft = {*aligned.entity_of_gone().values(), *word.restores.values()}
    return np.asarray([entity_id in bereft for entity_id in aligned.was.tolist()], dtype=bool)
