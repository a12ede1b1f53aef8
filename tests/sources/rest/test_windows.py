"""Bounds of the cursor in every form, and spans of time: each read once, gone on from after a kill, halved where a vendor gives no more."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from spine.core import clock
from spine.core.errors import ConfigError, SourceRejected
from spine.sources.reading import Window
from tests.sources.rest.conftest import ids

START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)
CHANGES = Window(datetime(2026, 2, 1, 10, 30, tzinfo=UTC), datetime(2026, 2, 3, tzinfo=UTC))
ROWS = [{"id": number, "at": clock.to_text(START + timedelta(hours=12 * number))} for number in range(1, 119)]


@pytest.mark.parametrize(
    ("form", "start", "end"),
    [
        ("iso", "2026-02-01T10:30:00.000000Z", "2026-02-03T00:00:00.000000Z"),
        ("iso_seconds", "2026-02-01T10:30:00Z", "2026-02-03T00:00:00Z"),
        ("iso_ms", "2026-02-01T10:30:00.000Z", "2026-02-03T00:00:00.000Z"),
        ("date", "2026-02-01", "2026-02-03"),
        ("epoch", "1769941800", "1770076800"),
        ("epoch_ms", "1769941800000", "1770076800000"),
        ("%d/%m/%Y %H:%M", "01/02/2026 10:30", "03/02/2026 00:00"),
    ],
)
def test_bounds_are_written_in_the_vendors_format(reading, form, start, end):
    stream = {"cursor": {"field": "at", "since": "from", "until": "to", "format": form}, "params": {"q": "at:gt:{start}"}}
    told = reading(lambda seen: [], stream)
    told.pages(CHANGES)
    assert told.vendor.seen[0].query == {"q": f"at:gt:{start}", "from": start, "to": end}


def test_on_the_first_read_no_bound_is_sent(reading):
    body = {"json": {"limit": 5, "filter": {"at": {"gte": "{start}"}}, "filters": [{"field": "at", "value": "{start}"}, {"field": "x"}]}}
    stream = {"cursor": {"field": "at", "since": "from", "until": "to", "format": "epoch"}, "params": {"q": "at:gt:{start}"}, "body": body}
    told = reading(lambda seen: [{"id": 1, "at": None}], stream)
    assert ids(told.pages()) == ["1"]
    told.pages(CHANGES)
    first, later = told.vendor.seen
    assert (first.query, orjson.loads(first.body)) == ({}, {"limit": 5, "filters": [{"field": "x"}]})
    assert orjson.loads(later.body) == {
        "limit": 5, "filter": {"at": {"gte": 1769941800}}, "filters": [{"field": "at", "value": 1769941800}, {"field": "x"}],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("start", "sent"),
    [("2020-01-31", "2020-01-31"), ("30d", "2026-01-31"), ("{since}", "2021-05-05")],
    ids=["date", "before now", "variable"],
)
def test_a_first_read_may_have_a_beginning(reading, start, sent):
    stream = {"cursor": {"field": "at", "since": "from", "until": "to", "format": "date", "start": start}}
    told = reading(lambda seen: [], stream, {"since": "2021-05-05"}, variables={"since": {"type": "date", "default": "2019-01-01"}})
    told.pages(Window(end=END, full=True))
    assert told.vendor.seen[0].query == {"from": sent, "to": "2026-03-02"}


@pytest.mark.parametrize(
    ("value", "reads", "cursor"),
    [
        (1769941800, None, "2026-02-01T10:30:00.000000Z"),
        ("1769941800.5", None, "2026-02-01T10:30:00.500000Z"),
        (1769941800000, None, "2026-02-01T10:30:00.000000Z"),
        (1769941800000001, None, "2026-02-01T10:30:00.000001Z"),
        ("2026-02-01 10:30:00", None, "2026-02-01T10:30:00.000000Z"),
        ("01/02/2026 10:30", "%d/%m/%Y %H:%M", "2026-02-01T10:30:00.000000Z"),
        (86400, "epoch", "1970-01-02T00:00:00.000000Z"),
    ],
)
def test_times_of_records_are_read_in_their_format(reading, value, reads, cursor):
    told = reading(lambda seen: [{"id": 1, "at": value}], {"cursor": {"field": "at", "since": None, "reads": reads}})
    (page,) = told.pages()
    assert [record.cursor for record in page.records] == [cursor]


class Dated:
    """A vendor of ROWS that takes `from` and `to`, both included, pages by number, and gives at most `ceiling` of one question."""

    def __init__(self, ceiling: int = 10**9, size: int = 7) -> None:
        self.ceiling, self.size = ceiling, size

    def __call__(self, seen: Any) -> Any:
        low, high = (seen.query.get(name, edge) for name, edge in (("from", ""), ("to", "9")))
        found = [row for row in ROWS if low <= row["at"] <= high]
        number = int(seen.query.get("page", 1)) - 1
        return {"total": len(found), "items": found[: self.ceiling][number * self.size : (number + 1) * self.size]}


def dated(**windows: Any) -> dict[str, Any]:
    cursor = {"field": "at", "since": "from", "until": "to", "start": "2026-01-01", "windows": windows}
    return {"records": "items", "cursor": cursor, "paging": {"type": "page"}}


WHOLE = Window(end=END, full=True)


@pytest.mark.parametrize(
    ("windows", "vendor"),
    [
        ({"step": "7d"}, Dated()),
        ({"step": "7d", "granularity": "1s"}, Dated()),
        ({"step": "{days}"}, Dated()),
        ({"ceiling": 20, "total": "total"}, Dated(20)),
        ({"step": "30d", "ceiling": 20}, Dated(20)),
        ({"ceiling": 20, "beyond": "restart"}, Dated(20)),
        ({"ceiling": 20, "beyond": "restart", "total": "total"}, Dated(20)),
    ],
    ids=["step", "granularity", "variable", "halved by count", "halved by what came", "restarted", "restarted by count"],
)
def test_spans_hold_everything_also_when_killed_between_any_two_pages(reading, windows, vendor):
    told = reading(vendor, dated(**windows), {"days": "5d"}, variables={"days": {"type": "duration", "default": "9d"}})
    calm = told.pages(WHOLE)
    assert set(ids(calm)) == {str(row["id"]) for row in ROWS}
    asked = [seen.query for seen in told.vendor.seen]
    told.vendor.seen.clear()
    rough = told.killed(WHOLE)
    assert [page.records for page in rough] == [page.records for page in calm]
    assert [(page.next_token, page.high_water) for page in rough] == [(page.next_token, page.high_water) for page in calm]
    assert calm[-1].high_water == ROWS[-1]["at"]
    if "granularity" in windows or "total" not in windows:
        assert all(query["from"] < query["to"] for query in asked)
    if "ceiling" not in windows:
        assert len({query["from"] for query in asked}) == {"7d": 9, "{days}": 12}[windows["step"]]
        assert max(Counter(ids(calm)).values()) == (1 if "granularity" in windows else 2)


def test_changes_are_read_in_spans_too(reading):
    told = reading(Dated(), dated(step="1d"))
    found = set(ids(told.pages(CHANGES)))
    assert found == {str(row["id"]) for row in ROWS if CHANGES.holds(clock.parse(row["at"]))}
    assert told.vendor.seen[0].query["from"] == "2026-02-01T10:30:00.000000Z"


@pytest.mark.parametrize("windows", [{"ceiling": 20, "beyond": "restart"}, {"ceiling": 20, "step": "30d"}], ids=["restarted", "halved"])
@pytest.mark.parametrize("kept", [["1", "118"], ["3"], []], ids=["ends", "one", "none"])
def test_what_filters_leave_out_counts_for_what_a_source_gives(reading, windows, kept):
    stream = {**dated(**windows), "filters": [{"field": "id", "one_of": kept or ["x"]}]}
    told = reading(Dated(20), stream)
    assert set(ids(told.pages(WHOLE))) == set(kept)


def test_what_no_span_can_hold_is_an_error(reading):
    rows = [{"id": number, "at": "2026-01-05T00:00:00Z"} for number in range(30)]
    for windows in ({"ceiling": 20, "total": "total"}, {"ceiling": 20, "beyond": "restart"}):
        told = reading(lambda seen: {"total": 30, "items": rows[:20] if seen.query.get("page", "1") == "1" else []}, dated(**windows))
        with pytest.raises(SourceRejected, match="more records than the source gives"):
            told.pages(WHOLE)
        assert len(told.vendor.seen) < 60


def test_records_out_of_order_cannot_be_restarted(reading):
    shuffled = [*ROWS[20:40], *ROWS[:20]]
    told = reading(
        lambda seen: {"items": shuffled[(int(seen.query.get("page", 1)) - 1) * 10 :][:10]}, dated(ceiling=40, beyond="restart")
    )  # fmt: skip
    with pytest.raises(SourceRejected, match="order of their cursor"):
        told.pages(WHOLE)


def test_numbers_are_a_cursor_too(reading):
    stream = {"cursor": {"field": "version", "since": "after", "type": "number"}, "records": "@"}
    told = reading(lambda seen: [{"id": n, "version": n * 7} for n in range(1, 20) if n * 7 > int(seen.query.get("after", 0))], stream)
    (first,) = told.pages()
    assert len(first.records) == 19
    (then,) = told.pages(Window(end=END), first.records[9].cursor)
    assert ids([then]) == [str(number) for number in range(11, 20)]
    assert told.vendor.seen[1].query == {"after": "70"}
    cursors = [record.cursor for record in first.records]
    assert cursors == sorted(cursors)


def test_a_time_is_no_number(reading):
    (page,) = reading(
        lambda seen: [{"id": 1, "v": "soon"}, {"id": 2, "v": 5}], {"cursor": {"field": "v", "since": None, "type": "number"}}
    ).pages()
    assert [bool(record.cursor) for record in page.records] == [False, True]


def test_a_step_of_nothing_is_refused(reading):
    told = reading(Dated(), dated(step="{days}"), {"days": "0d"}, variables={"days": {"type": "duration"}})
    with pytest.raises(ConfigError, match="no time at all"):
        told.pages(WHOLE)
