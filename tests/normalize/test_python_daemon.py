"""What Spark's Python workers are forked from."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pyarrow as pa
import pytest


@pytest.mark.slow
def test_it_has_everything_that_workers_import_and_no_thread_when_it_forks() -> None:
    """A lock that a thread held at the fork would never be given back in the worker."""
    code = """
import os, sys, threading
from spine.normalize.python_daemon import PRELOADED, preload
preload()
print(set(PRELOADED) <= set(sys.modules), threading.active_count(), len(os.listdir("/proc/self/task")) if os.path.isdir("/proc") else 1)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.split() == ["True", "1", "1"]


def test_a_worker_has_them_before_its_first_row(spark: Any) -> None:
    from pyspark.sql.functions import arrow_udf

    def loaded(rows: pa.Array) -> pa.Array:
        import sys

        return pa.array(["phonenumbers" in sys.modules] * len(rows))

    assert spark.range(1).select(arrow_udf(loaded, "boolean")("id")).collect()[0][0] is True
