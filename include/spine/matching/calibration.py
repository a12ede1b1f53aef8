"""Whether probabilities mean what they say, where somebody knows the truth: labels of a file, or pairs that stewards have judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spine.core.errors import ConfigError
from spine.matching import files as match_files
from spine.matching.records import joined

Array: TypeAlias = Any  # numpy arrays of many element types
BINS, FROM = 10, 0.5
FINE = (0.5, 0.7, 0.85, 0.95, 0.99, 0.999, 1.0)
_Z = 1.96  # of 95 %
_ENTITY = ("entity", "cluster_id", "cluster", "label")
_SAME = ("same", "match", "is_match", "label")
_YES, _NO = frozenset(("1", "true", "yes", "y", "match", "same")), frozenset(("0", "false", "no", "n", "different", "distinct"))


@dataclass(frozen=True)
class Bin:
    """Pairs of a range of probabilities: what is promised on average, the share that is right, and between which it lies (95 %)."""

    low: float
    high: float
    pairs: int
    promised: float
    right: float
    least: float
    most: float


@dataclass(frozen=True)
class Calibration:
    """How promises were kept among `judged` pairs; `origin` says who knew. `bins` are equal ones, `bands` narrow near certainty.

    `error` is the expected calibration error over ten equal bins from 0.85 to 1 (None without pairs there). `precision` and `recall` are
    those of pairs in one entity, as far as the truth about them is known (None without any).
    """

    origin: str
    judged: int
    bins: Sequence[Bin]
    bands: Sequence[Bin]
    error: float | None
    precision: float | None
    recall: float | None


@dataclass(frozen=True)
class Labels:
    """Known answers about rows: the `entity` of each (-1: unknown), or judged pairs with `same` for each."""

    entity: Array | None
    left: Array
    right: Array
    same: Array


def read_labels(path: Path, ids: pa.Array, *, apart: bool) -> Labels:
    """Labels of the records `ids` from a table of `record_id, entity` or of `left_id, right_id, same`.

    With records `apart` by sources their columns `source`, or `left_source` and `right_source`, count too. Records that are not there are
    passed over. Raises ConfigError for other columns, for answers that are none, and if no record is among `ids`.
    """
    names = match_files.sample(path, 1).column_names
    if {"left_id", "right_id"} <= set(names):
        found = _pairs(path, names, ids, apart=apart)
    elif "record_id" in names and (entity := next((name for name in _ENTITY if name in names), None)):
        found = _entities(path, entity, ids, apart=apart)
    else:
        raise ConfigError(
            f"{path.name} has no labels (it has {', '.join(names[:20])})",
            hint="Give it the columns record_id and entity, or left_id, right_id and same (1 or 0)",
        )
    if not len(found.left) and (found.entity is None or (found.entity < 0).all()):
        raise ConfigError(f"no record of {path.name} is among those matched", hint="Use the ids of the records, and of sources their names")
    return found


def _entities(path: Path, column: str, ids: pa.Array, *, apart: bool) -> Labels:
    table = match_files.read_columns(path, [*(["source"] if apart else []), "record_id", column])
    known = joined(table, "source", "record_id") if apart else match_files.flat(table.column("record_id"))
    codes = match_files.flat(table.column(column)).dictionary_encode().indices
    place = match_files.places(ids, known)
    told = np.asarray(pc.fill_null(codes, -1), dtype=np.int64)
    none: Array = np.zeros(0, dtype=np.int64)
    return Labels(np.where(place >= 0, told[np.maximum(place, 0)], -1) if len(told) else np.full(len(ids), -1), none, none, none)


def _pairs(path: Path, names: Sequence[str], ids: pa.Array, *, apart: bool) -> Labels:
    same = next((name for name in _SAME if name in names), None)
    wanted = ["left_id", "right_id", *(["left_source", "right_source"] if apart else []), *([same] if same else [])]
    table = match_files.read_columns(path, wanted)
    ends = []
    for side in ("left", "right"):
        refs = joined(table, f"{side}_source", f"{side}_id") if apart else match_files.flat(table.column(f"{side}_id"))
        ends.append(match_files.places(refs, ids))
    answers = [_answer(text, path) for text in table.column(same).to_pylist()] if same else [True] * table.num_rows
    kept = (ends[0] >= 0) & (ends[1] >= 0) & (ends[0] != ends[1])
    left, right = np.minimum(*ends)[kept], np.maximum(*ends)[kept]
    return Labels(None, left, right, np.asarray(answers, dtype=bool)[kept])


def _answer(text: str | None, path: Path) -> bool:
    word = (text or "").strip().lower()
    if word in _YES or word in _NO:
        return word in _YES
    raise ConfigError(f"{path.name} has an answer that is neither yes nor no", hint="Write 1 or 0 in its column same")


def of_labels(origin: str, labels: Labels, left: Array, right: Array, probability: Array, label: Array) -> Calibration:
    """The calibration of scored pairs (rows, probability) and of the entities (`label` per row)."""
    if labels.entity is not None:
        known = (labels.entity[left] >= 0) & (labels.entity[right] >= 0)
        right_ones = labels.entity[left] == labels.entity[right]
        return calibration(origin, probability[known], right_ones[known], *_of_entities(labels.entity, label))
    rows = len(label)
    code, asked = left * np.int64(rows) + right, labels.left * np.int64(rows) + labels.right
    order = np.argsort(asked)
    place = np.minimum(np.searchsorted(asked[order], code), max(0, len(asked) - 1))
    known = asked[order][place] == code
    together = label[labels.left] == label[labels.right]
    both = int((together & labels.same).sum())
    precision, recall = _share(both, int(together.sum())), _share(both, int(labels.same.sum()))
    return calibration(origin, probability[known], labels.same[order][place][known], precision, recall)


def calibration(origin: str, probability: Array, right: Array, precision: float | None, recall: float | None) -> Calibration:
    """The calibration of judged pairs: their probabilities, and which are right."""
    edges = np.linspace(FROM, 1, BINS + 1).tolist()
    return Calibration(
        origin, len(probability), _bins(probability, right, edges), _bins(probability, right, FINE), _error(probability, right), precision,
        recall,
    )  # fmt: skip


def _of_entities(entity: Array, label: Array) -> tuple[float | None, float | None]:
    rows = np.flatnonzero(entity >= 0)
    _, both = np.unique(np.stack([entity[rows], label[rows]]), axis=1, return_counts=True)
    hit, found, true = (_pair_count(counts) for counts in (both, np.bincount(label[rows]), np.bincount(entity[rows])))
    return _share(hit, found), _share(hit, true)


def _pair_count(sizes: Array) -> int:
    sizes = sizes.astype(np.int64)
    return int((sizes * (sizes - 1) // 2).sum())


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _bins(probability: Array, right: Array, edges: Sequence[float]) -> list[Bin]:
    found = []
    for low, high in pairwise(edges):
        chosen = (probability >= low) & ((probability < high) | (high == 1.0))
        if count := int(chosen.sum()):
            share = float(right[chosen].mean())
            found.append(Bin(low, high, count, float(probability[chosen].mean()), share, *_between(share, count)))
    return found


def _between(share: float, count: int) -> tuple[float, float]:
    """Wilson's interval."""
    spread = _Z * ((share * (1 - share) + _Z**2 / (4 * count)) / count) ** 0.5
    middle, scale = share + _Z**2 / (2 * count), 1 + _Z**2 / count
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


def _error(probability: Array, right: Array, low: float = 0.85, bins: int = 10) -> float | None:
    chosen = probability >= low
    if not chosen.any():
        return None
    place = np.minimum(((probability[chosen] - low) / (1 - low) * bins).astype(np.int64), bins - 1)
    gaps = np.bincount(place, probability[chosen], bins) - np.bincount(place, right[chosen], bins)
    return float(np.abs(gaps).sum() / len(place))
