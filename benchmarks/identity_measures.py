"""How good clusters and probabilities are, and what a process costs."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import psutil

Array: TypeAlias = Any  # numpy arrays of many element types
BANDS = ((0.5, 0.85), (0.85, 0.95), (0.95, 0.99), (0.99, 1.0))
_SAMPLE_SECONDS = 0.25
_MB = 1024 * 1024


def pairs_of(sizes: Array) -> int:
    """Pairs within groups of these sizes."""
    sizes = np.asarray(sizes, dtype=np.int64)
    return int((sizes * (sizes - 1) // 2).sum())


def quality(labels: Array, truth: Array) -> dict[str, float]:
    """Pairwise and B-cubed precision, recall and F1 of clusters (a label per record) against the true entities (likewise).

    Pairwise counts pairs of records that share a label; B-cubed (Bagga and Baldwin 1998) averages per record the share of its cluster
    that is right, and the share of its entity that is there. No pair at all is precision 1.
    """
    _, found = np.unique(labels, return_inverse=True)
    _, real = np.unique(truth, return_inverse=True)
    (cluster, entity), both = np.unique(np.stack([found, real]), axis=1, return_counts=True)
    clusters, entities = np.bincount(found), np.bincount(real)
    right, joined, true = pairs_of(both), pairs_of(clusters), pairs_of(entities)
    precision, recall = right / joined if joined else 1.0, right / true if true else 1.0
    cubed_precision, cubed_recall = (float((both**2 / sizes).sum() / len(labels)) for sizes in (clusters[cluster], entities[entity]))
    return {
        "true_pairs": true, "precision": precision, "recall": recall, "f1": _f1(precision, recall), "b3_precision": cubed_precision,
        "b3_recall": cubed_recall, "b3_f1": _f1(cubed_precision, cubed_recall), "clusters": len(clusters), "largest": int(clusters.max()),
    }  # fmt: skip


def _f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def calibration(probability: Array, right: Array) -> list[dict[str, float]]:
    """Per band of probability: pairs, the precision promised (mean probability) and the one observed. The last band includes 1."""
    found = []
    for low, high in BANDS:
        chosen = (probability >= low) & ((probability < high) | (high == 1.0))
        if count := int(chosen.sum()):
            promised, observed = float(probability[chosen].mean()), float(right[chosen].mean())
            found.append({"from": low, "to": high, "pairs": count, "promised": promised, "observed": observed})
    return found


def calibration_error(probability: Array, right: Array, low: float = 0.85, bins: int = 10) -> float | None:
    """Expected calibration error over `bins` equal bins of probability from `low` to 1, None if no pair is there.

    The distance of the precision promised (mean probability) from the one observed, averaged over the bins by their pairs.
    """
    chosen = probability >= low
    if not chosen.any():
        return None
    probability, right = probability[chosen], right[chosen]
    place = np.minimum(((probability - low) / (1 - low) * bins).astype(np.int64), bins - 1)
    gaps = np.bincount(place, probability, bins) - np.bincount(place, right, bins)
    return float(np.abs(gaps).sum() / len(place))


def entity_pairs(truth: Array) -> tuple[Array, Array]:
    """Row numbers (left < right) of all pairs of records of one entity."""
    order = np.argsort(truth, kind="stable")
    bounds = np.flatnonzero(np.r_[True, np.diff(truth[order]) != 0, True])
    left, right = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    for size in np.unique(np.diff(bounds)).tolist():
        starts = bounds[:-1][np.diff(bounds) == size]
        one, other = np.triu_indices(size, 1)
        left.append(order[starts[:, None] + one].ravel())
        right.append(order[starts[:, None] + other].ravel())
    return np.concatenate(left), np.concatenate(right)


@dataclass(frozen=True)
class Cost:
    """What a process and its children took: wall and CPU seconds, the peak of their memory together (shared pages counted once)."""

    seconds: float
    cpu_seconds: float
    peak_mb: float


def run(command: Sequence[str]) -> tuple[Cost, str]:
    """Runs a command to its end; its cost and what it wrote to stdout. Raises RuntimeError with the end of stderr if it fails."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=errors)
        peak, status, usage = 0, 0, None
        while usage is None:
            ended, status, found = os.wait4(process.pid, os.WNOHANG)
            if ended:
                usage = found
            else:
                peak = max(peak, _memory(process.pid))
                time.sleep(_SAMPLE_SECONDS / 5 if time.perf_counter() - started < 5 else _SAMPLE_SECONDS)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        errors.seek(0)
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: {errors.read()[-2000:]}")
        return Cost(seconds, usage.ru_utime + usage.ru_stime, peak / _MB), out.read()


def _memory(pid: int) -> int:
    """Bytes of a process and all its children, each shared page split among those who share it.

    The kernel's own peak (`ru_maxrss`) will not do: a child begins with that of the process that started it.
    """
    total = 0
    try:
        root = psutil.Process(pid)
        for process in [root, *root.children(recursive=True)]:
            total += process.memory_full_info().pss
    except psutil.Error:  # one of them has ended
        pass
    return total
