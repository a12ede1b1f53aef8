"""Entities of records that have copies: copies that are one with their first are divided with it, once, and share its entity."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from spine.identity.clustering.cluster import Clusters, Evidence, cluster

Array: TypeAlias = Any  # numpy arrays of many element types


def cluster_copies(
    first: Array, left: Array, right: Array, weight: Array, evidence: Evidence, threshold: float, must: Array, never: Array
) -> Clusters:
    """`cluster` of records of which `first` tells whose copies they are; edges are rows and weights of at least `threshold`.

    Copies with an edge to their first are one with it, and weigh together as one record. `must` and `never` (n x 2) are a steward's
    pairs; a record that he speaks of stands for itself, whatever it is a copy of.
    """
    rows = len(first)
    link: Array = np.full(rows, -np.inf)
    twins = first[left] == first[right]
    np.maximum.at(link, first[left[twins]], weight[twins])
    unit = _units(first, link[first] > -np.inf, np.concatenate([must, never]).reshape(-1))
    one, other = unit[left], unit[right]
    apart = one != other
    found = cluster(rows, one[apart], other[apart], weight[apart], evidence, threshold, (must[:, 0], must[:, 1]))
    if not twins.any():
        return found
    return _spread(found, unit, 1.0 / (1.0 + np.exp2(-np.clip(link[first], -500, 500))))


def _units(first: Array, tight: Array, alone: Array) -> Array:
    """Per row the row that is divided for it: of tight copies the first that is not to stand `alone`."""
    rows = np.arange(len(first))
    follows = tight.copy()
    follows[alone] = False
    lead: Array = np.full(len(first), len(first))
    np.minimum.at(lead, first[follows], rows[follows])
    return np.where(follows, lead[first], rows)


def _spread(found: Clusters, unit: Array, own: Array) -> Clusters:
    """The entities with all copies in them; `own` is the probability that a copy and its first are one."""
    units = np.unique(unit)
    label = found.label[unit]
    alone = np.bincount(found.label[units], minlength=len(unit))[label] == 1
    copied = np.bincount(unit, minlength=len(unit))[unit] > 1
    linked = found.confidence[unit]
    confidence = np.where(copied, np.where(alone, own, np.maximum(linked, own)), linked)
    weakest: Array = np.ones(len(unit))
    np.minimum.at(weakest, label[copied], confidence[copied])
    labels = np.unique(label[copied]).tolist()
    held = {name: min(found.weakest.get(name, 1.0), float(weakest[name])) for name in labels}
    return Clusters(label, confidence, found.weakest | held, found.ambiguous, unit)
