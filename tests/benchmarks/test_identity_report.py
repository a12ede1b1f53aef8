"""Which demands hold, by the figures alone."""

from __future__ import annotations

import sys
from importlib import import_module

import pytest

from spine.core.settings import PROJECT


@pytest.fixture(scope="module")
def report():
    sys.path.insert(0, str(PROJECT / "benchmarks"))
    yield import_module("identity_report")
    sys.path.remove(str(PROJECT / "benchmarks"))


def result(name: str, f1: float = 0.95, seconds: float = 10.0, precision: float = 0.99, peak_mb: float = 500.0) -> dict:
    ours = {
        "precision": precision, "recall": 0.9, "f1": f1, "b3_precision": 0.9, "b3_recall": 0.9, "b3_f1": 0.9, "clusters": 5, "largest": 3,
        "seconds": seconds, "cpu_seconds": seconds, "peak_mb": peak_mb, "calibration": [],
    }  # fmt: skip
    theirs = ours | {"f1": 0.85, "seconds": 10.0, "cpu_seconds": 10.0}
    return {"name": name, "records": 1000, "true_pairs": 500, "engines": {"spine": ours, "splink": theirs}}


def broken(report, results, increment=None) -> list[str]:
    return [demand.text for demand in report.demands(results, increment) if demand.holds is False]


def test_good_figures_break_no_demand(report):
    results = [result(name, f1=0.9995) for name in report.FLOORS] + [result(report.MIDDLE), result(report.LARGE, seconds=14.0)]
    assert broken(report, results, {"records": 999_996, "share": 0.05, "no_op": True}) == []


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        pytest.param({"name": "febrl3", "f1": 0.9989}, "febrl3: F1 of at least 0.999", id="an F1 below its floor"),
        pytest.param({"name": "fodors_zagats", "precision": 0.89}, "fodors_zagats: precision of at least 0.9", id="strangers merged"),
        pytest.param({"name": "world_person_100000", "f1": 0.87}, "F1 above Splink's by at least 0.03", id="too little ahead"),
        pytest.param({"name": "world_person_1000000", "seconds": 15.1}, "at most 1.5 times Splink's time", id="too slow at a million"),
        pytest.param({"name": "world_person_50000", "seconds": 25.1}, "at most 2.5 times Splink's time", id="too slow when small"),
        pytest.param({"name": "world_person_1000000", "peak_mb": 8200.0}, "peak memory of at most 8,192 MB", id="too much memory"),
    ],
)
def test_each_bad_figure_is_named(report, bad, said):
    (found,) = broken(report, [result(**({"f1": 0.9995} | bad))])
    assert said in found


def test_growth_beyond_twelve_times_is_named(report):
    (found,) = broken(report, [result(report.MIDDLE, seconds=1.0), result(report.LARGE, seconds=12.5)])
    assert "from 100,000 to 1,000,000" in found


@pytest.mark.parametrize("increment", [{"share": 0.11, "no_op": True}, {"share": 0.01, "no_op": False}])
def test_a_costly_increment_or_work_without_a_change_is_named(report, increment):
    assert len(broken(report, [], increment | {"records": 999_996})) == 1


def test_what_was_not_measured_neither_holds_nor_breaks(report):
    few = {"records": 50_000, "share": 0.5, "no_op": True}
    assert {demand.holds for increment in (None, few) for demand in report.demands([], increment)} == {None}


def test_lines_show_both_engines_and_the_ratio_of_their_times(report):
    table = "\n".join([report.head(), *report.lines(result("world", seconds=5.0))])
    assert "spine takes 0.50 times Splink's time" in table
    assert max(map(len, table.splitlines())) <= 210
