"""Reports that are restated through the real steps: what the look-back reads again and what does not come any more."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from spine.core.errors import DeleteSweepRefused, SourceRejected
from spine.pipeline.rereading import Reread
from spine.sources.reading import Window
from tests.pipeline.test_parts import NOTES, Shop, shop, vendor  # noqa: F401  # fixtures

pytestmark = pytest.mark.slow

CURSOR = {"field": "at", "since": "since", "lookback": "3d"}
REPORT: dict[str, Any] = {
    "name": "notes", "path": "/report", "records": "items", "key": ["id"], "cursor": CURSOR,
    "deletes": {"detect": "reread", "mode": "hard_delete", "max_share": 0.5},
    "paging": {"type": "offset", "param": "skip", "size": 2, "size_param": "top"},
}  # fmt: skip


def day(number: int) -> str:
    return f"2026-01-{number:02d}T00:00:00Z"


@pytest.fixture
def report(shop: Shop) -> Shop:  # noqa: F811
    """One row of each day from the 1st to the 9th; the look-back from the 9th holds the 7th, 8th and 9th."""
    shop.declare(REPORT)
    shop.vendor.rows["/report"] = [{"id": number, "at": day(number), "sum": 1} for number in range(1, 10)]
    shop.sync("r1")
    return shop


def without(report: Shop, *days: int) -> None:
    report.vendor.rows["/report"] = [row for row in report.vendor.rows["/report"] if row["id"] not in days]


def test_a_row_that_is_restated_away_is_marked_and_one_that_is_older_is_not(report: Shop) -> None:
    without(report, 6, 8)
    report.vendor.rows["/report"].append({"id": 80, "at": day(8), "sum": 1})
    assert report.sync("r2")["rows"] == 2
    assert (report.bronze("r2"), report.bronze(op="delete")) == (["80"], ["8"])
    assert report.sync("r3")["rows"] == 0, "it is marked once"


def test_a_row_that_comes_back_as_it_was_lives_again(report: Shop) -> None:
    without(report, 8)
    report.sync("r2")
    report.vendor.rows["/report"].append({"id": 8, "at": day(8), "sum": 1})
    report.sync("r3")
    assert (report.bronze("r3"), report.bronze("r3", op="delete")) == (["8"], [])


def test_more_than_the_share_is_not_believed(report: Shop) -> None:
    without(report, 7, 8, 9)
    with pytest.raises(DeleteSweepRefused, match="3 of 3"):
        report.sync("r2")
    assert report.bronze(op="delete") == []


def test_a_backfill_marks_within_its_span(report: Shop) -> None:
    without(report, 2, 4, 8)
    report.sync("r2", interval_start=datetime(2026, 1, 2, tzinfo=UTC), interval_end=datetime(2026, 1, 6, tzinfo=UTC))
    assert report.bronze(op="delete") == ["2", "4"]


def test_a_reading_that_goes_on_marks_nothing_and_the_next_run_does(report: Shop) -> None:
    """What came before its first page it does not know."""
    without(report, 8)
    answer = report.vendor.answer
    report.vendor.rows["/report"].append({"id": 90, "at": day(9), "sum": 1})
    report.vendor.answer = lambda path, query: answer(path, query) if query.get("skip", "0") == "0" else (404, {})  # type: ignore[method-assign]
    with pytest.raises(SourceRejected):
        report.sync("r2")
    report.vendor.answer = answer  # type: ignore[method-assign]
    report.sync("r2")
    assert report.bronze(op="delete") in ([], ["8"])
    report.sync("r3")
    assert report.bronze(op="delete") == ["8"]


def test_of_parents_only_what_all_of_them_have_read_again(shop: Shop) -> None:  # noqa: F811
    """The parents' cursors are the 1st, 2nd and 3rd; the rows of a parent that has gone stay."""
    accounts = {**REPORT, "name": "accounts", "path": "/accounts", "cursor": None, "deletes": {}}
    shop.declare(accounts, {**NOTES, "cursor": CURSOR, "deletes": {**REPORT["deletes"], "max_share": 1.0}})
    shop.sync("r1")
    shop.vendor.rows["/accounts/3/notes"].pop(1)
    shop.sync("r2")
    assert shop.bronze(op="delete") == ["3|1"]
    shop.vendor.rows["/accounts"].pop()
    shop.vendor.rows["/accounts/2/notes"].pop(0)
    shop.sync("r3")
    assert shop.bronze("r3", op="delete") == ["2|0"]


@pytest.mark.parametrize(
    ("name", "leading", "part"),
    [
        ("a|b|c", 0, ""),
        ("a|b|c", 1, "a|"),
        ("a|b|c", 2, "a|b|"),
        (r"a\|b|c", 1, r"a\|b|"),
        (r"a\\|b|c", 1, "a\\\\|"),
        ("alone", 1, "alone"),
    ],
)
def test_the_partition_in_an_id(name: str, leading: int, part: str) -> None:
    assert Reread(Window(), leading).part(name) == part
