"""Google's reports from small vendors of our own: pages, days that are restated, properties that are refused, tables of any shape."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import orjson
import pytest

from spine.core import clock
from spine.core.errors import SourceRejected
from tests.http.conftest import Answer, Seen
from tests.servers.test_own_vendors import make_vendor, served  # noqa: F401  # fixtures

PROVES = "a server of ours"

GOOGLE = {"access_token": "x"}


def day(back: int) -> str:
    """So many days before today."""
    return (clock.now().date() - timedelta(days=back)).isoformat()


class Analytics:
    """Reports with the dimensions and metrics that are asked for, in their order, two rows a page; numbers are texts."""

    def __init__(self) -> None:
        self.rows: dict[str, list[dict[str, str]]] = {"1": [], "2": []}
        self.asked: list[dict[str, Any]] = []

    def visit(self, back: int, sessions: int = 1, **dimensions: str) -> dict[str, str]:
        row = {"date": day(back).replace("-", ""), "sessions": str(sessions), "eventName": "page_view", **dimensions}
        self.rows["1"].append(row)
        return row

    def __call__(self, seen: Seen) -> Any:
        name, _, method = seen.path.removeprefix("/v1beta/properties/").partition(":")
        if name not in self.rows or method != "runReport":
            return Answer(403, {"error": {"code": 403, "status": "PERMISSION_DENIED", "message": "no"}})
        said = orjson.loads(seen.body)
        self.asked.append({"property": name, **said})
        names = [one["name"] for one in said["dimensions"]], [one["name"] for one in said["metrics"]]
        assert len(names[0]) <= 9
        assert len(names[1]) <= 10
        assert isinstance(said["offset"], str)
        (span,) = said["dateRanges"]
        low, high = (span[end].replace("-", "") for end in ("startDate", "endDate"))
        found = sorted((row for row in self.rows[name] if low <= row["date"] <= high), key=lambda row: sorted(row.items()))
        start, head = int(said["offset"]), {"metadata": {"currencyCode": "EUR"}, "kind": "analyticsData#runReport"}
        if not found:
            return head
        told = [
            {"dimensionValues": [{"value": row.get(one, "(not set)")} for one in names[0]],
             "metricValues": [{"value": row.get(one, "0")} for one in names[1]]}
            for row in found[start : start + 2]
        ]  # fmt: skip
        return {**head, "rows": told, "rowCount": len(found)}


class TestAnalytics:
    @pytest.fixture
    def vendor(self) -> Analytics:
        found = Analytics()
        for back in (40, 9, 3, 2, 1):
            found.visit(back, sessionSource="google")
        return found

    @pytest.fixture
    def ga4(self, reading, served, vendor) -> Any:  # noqa: F811
        return reading("ga4", served(vendor), extra={**GOOGLE, "properties": "1, 2", "since": day(30)})

    def test_a_report_is_read_to_its_end_from_the_first_day_on(self, ga4, vendor) -> None:
        found = ga4.sync("sessions", "events", "pages")
        assert (found["sessions"]["rows"], found["sessions"]["pages"]) == (4, 3)
        assert found["events"]["rows"] == 4
        assert {record["property"] for record in ga4.records("events")} == {"1"}
        newest = next(record for record in ga4.records("sessions") if record["date"] == day(1).replace("-", ""))
        assert (newest["sessionSource"], newest["sessions"]) == ("google", "1")
        assert newest["_key"].startswith(f"1|{newest['date']}|google|")
        assert "currencyCode" not in vendor.asked[0], "the property's own"

    def test_late_figures_of_the_last_days_are_told_again_and_what_has_gone_is_deleted(self, ga4, vendor) -> None:
        ga4.sync("sessions")
        vendor.rows["1"][3]["sessions"] = "5"
        vendor.rows["1"][4]["sessionSource"] = "bing"  # was counted elsewhere
        vendor.rows["1"][1]["sessions"] = "9"  # of a day that does not change any more
        vendor.asked.clear()
        ga4.sync("sessions")
        told = {(record.get("sessionSource"), record["_op"]) for record in ga4.records("sessions", run=2)}
        assert told == {("google", "upsert"), ("bing", "upsert"), (None, "delete")}
        assert {said["dateRanges"][0]["startDate"] for said in vendor.asked if said["property"] == "1"} == {day(5)}
        assert ga4.sync("sessions")["sessions"]["rows"] == 0

    def test_a_property_that_is_not_ours_any_more_costs_only_itself(self, ga4, vendor) -> None:
        del vendor.rows["2"]
        found = ga4.sync("sessions")["sessions"]
        assert (found["rows"], found["skips"]) == (4, 1)
        del vendor.rows["1"]
        with pytest.raises(SourceRejected, match="every request was refused"):
            ga4.sync("sessions")
