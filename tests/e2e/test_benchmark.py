"""The benchmark of an incremental run, in small: it counts right. Its seconds are measured where nothing else runs."""

from __future__ import annotations

import subprocess
import sys

import orjson
import pytest

from spine.core.settings import PROJECT

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.spark, pytest.mark.postgres]


def test_a_third_of_a_stream_changes_and_reaches_gold():
    command = [sys.executable, str(PROJECT / "benchmarks" / "incremental.py"), "--scale", "1000", "--changed", "300", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    found = orjson.loads(done.stdout.splitlines()[-1])
    assert found["published"] == 300
    assert 300 <= found["read"] <= 305  # what the lookback window holds besides
    assert found["resolved"]["changed_records"] == 300
    assert found["gold"]["published"]
    assert found["gold"]["updated"] > 0
