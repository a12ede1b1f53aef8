"""The known truth as a file, for measuring precision and recall: tenant, source, stream, record_id, entity, true_id."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from spine.sandbox.world import World

COLUMNS = ("tenant", "source", "stream", "record_id", "entity", "true_id")


def write_truth(worlds: Iterable[World], path: Path) -> int:
    """Write truth.csv whole; returns the number of rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part, count = path.with_name(f".{path.name}.part"), 0
    with part.open("w", encoding="utf-8", newline="") as text:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        for world in worlds:
            for key, entity, label in world.truth_rows():
                writer.writerow((*key, entity, label))
                count += 1
    part.rename(path)
    return count
