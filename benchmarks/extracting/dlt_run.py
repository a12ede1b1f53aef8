"""Anything that dlt reads, into its Delta destination as its documentation sets it up. Runs in dlt's own environment."""

from __future__ import annotations

from typing import Any

import dlt


def loaded(order: dict[str, Any], source: Any) -> int:
    """Load a source below the folder of the order; how many things it had."""
    destination = dlt.destinations.filesystem(f"file://{order['folder']}/lake")
    pipeline = dlt.pipeline("bench", destination=destination, dataset_name="bench", pipelines_dir=f"{order['folder']}/pipelines")
    pipeline.run(source)
    counts: dict[str, int] = pipeline.last_trace.last_normalize_info.row_counts
    return counts["things"]
