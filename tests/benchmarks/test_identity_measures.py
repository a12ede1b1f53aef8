"""Figures of clusters against the truth, against counting by hand."""

from __future__ import annotations

import sys
from importlib import import_module
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spine.core.settings import PROJECT

labels = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=25)


@pytest.fixture(scope="module")
def measures():
    sys.path.insert(0, str(PROJECT / "benchmarks"))
    yield import_module("identity_measures")
    sys.path.remove(str(PROJECT / "benchmarks"))


@given(rows=labels)
def test_pairwise_and_b_cubed_figures_are_those_counted_by_hand(measures, rows):
    found, truth = (np.array(column) for column in zip(*rows, strict=True))
    figures = measures.quality(found, truth)
    pairs = list(combinations(range(len(rows)), 2))
    right = sum(found[i] == found[j] and truth[i] == truth[j] for i, j in pairs)
    joined, true = (sum(column[i] == column[j] for i, j in pairs) for column in (found, truth))
    assert figures["precision"] == pytest.approx(right / joined if joined else 1)
    assert figures["recall"] == pytest.approx(right / true if true else 1)
    shares = [
        [np.mean(other[column == column[row]] == other[row]) for row in range(len(rows))]
        for column, other in ((found, truth), (truth, found))
    ]
    assert figures["b3_precision"] == pytest.approx(np.mean(shares[0]))
    assert figures["b3_recall"] == pytest.approx(np.mean(shares[1]))


def test_clusters_like_the_truth_are_perfect_whatever_their_names(measures):
    figures = measures.quality(np.array([7, 7, 3, 9]), np.array([0, 0, 1, 2]))
    assert {figures[name] for name in ("precision", "recall", "f1", "b3_f1")} == {1.0}
    assert (figures["clusters"], figures["largest"], figures["true_pairs"]) == (3, 2, 1)


@given(rows=st.lists(st.integers(0, 6), max_size=30))
def test_pairs_of_the_entities_are_all_pairs_with_equal_truth(measures, rows):
    left, right = measures.entity_pairs(np.array(rows, dtype=np.int64))
    found = {tuple(sorted(pair)) for pair in zip(left.tolist(), right.tolist(), strict=True)}
    assert len(left) == len(found)
    assert found == {(i, j) for i, j in combinations(range(len(rows)), 2) if rows[i] == rows[j]}


def test_calibration_compares_the_promise_of_each_band_with_what_is_right(measures):
    bands = measures.calibration(np.array([0.86, 0.94, 0.95, 0.99, 1.0, 0.2]), np.array([True, False, True, True, True, True]))
    assert [(band["from"], band["pairs"], band["observed"]) for band in bands] == [(0.85, 2, 0.5), (0.95, 1, 1.0), (0.99, 2, 1.0)]
    assert bands[0]["promised"] == pytest.approx(0.9)


def test_the_calibration_error_weighs_the_gap_of_each_bin_by_its_pairs(measures):
    # Bins of 0.015: 0.85-0.865 holds 0.86 and 0.85 (half of them right), 0.985-1 holds 0.99 and 1.0 (all right); 0.2 is out.
    found = measures.calibration_error(np.array([0.86, 0.85, 0.99, 1.0, 0.2]), np.array([True, False, True, True, False]))
    assert found == pytest.approx((2 * (0.855 - 0.5) + 2 * (1 - 0.995)) / 4)
    assert measures.calibration_error(np.array([0.9, 0.9]), np.array([True, True])) == pytest.approx(0.1)
    assert measures.calibration_error(np.array([0.5]), np.array([True])) is None


def test_the_cost_of_a_process_counts_its_children_and_not_who_started_it(measures):
    ballast = np.ones(60_000_000)
    child = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; x = bytearray(80_000_000); time.sleep(0.6)'])"
    cost, told = measures.run([sys.executable, "-c", f"print('done', flush=True); {child}"])
    assert told == "done\n"
    assert 80 < cost.peak_mb < 300 < ballast.nbytes / 1e6
    assert 0 < cost.cpu_seconds < cost.seconds + 1


def test_a_process_that_fails_says_why(measures):
    with pytest.raises(RuntimeError, match="ended with 3: no such thing"):
        measures.run([sys.executable, "-c", "import sys; sys.stderr.write('no such thing'); sys.exit(3)"])
