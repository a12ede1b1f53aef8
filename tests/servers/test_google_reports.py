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


class Search:
    """One site of ours and one that is not verified; a report of a day has its rows with the most clicks first, two a page."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.asked: list[dict[str, Any]] = []

    def __call__(self, seen: Seen) -> Any:
        if seen.path == "/webmasters/v3/sites":
            names = {"sc-domain:acme.example": "siteOwner", "https://other.example/": "siteUnverifiedUser"}
            return {"siteEntry": [{"siteUrl": name, "permissionLevel": level} for name, level in names.items()]}
        assert seen.path.startswith("/webmasters/v3/sites/sc-domain%3Aacme.example/"), seen.path
        if seen.path.endswith("/sitemaps"):
            return {}
        said = orjson.loads(seen.body)
        self.asked.append(said)
        if said["type"] == "VIDEO":
            return {"responseAggregationType": "byPage"}
        found = [row for row in self.rows if said["startDate"] <= row["date"] <= said["endDate"]]
        found.sort(key=lambda row: (-row["clicks"], row["query"]))
        start = said.get("startRow", 0)
        told = [
            {"keys": [row.get(name.lower(), "DESKTOP") for name in said["dimensions"]],
             **{name: row[name] for name in ("clicks", "impressions", "ctr", "position")}}
            for row in found[start : start + 2]
        ]  # fmt: skip
        return {"rows": told, "responseAggregationType": "byPage"} if told else {"responseAggregationType": "byPage"}


class TestSearch:
    @pytest.fixture
    def vendor(self) -> Search:
        found = Search()
        for number, back in enumerate((9, 4, 4, 4, 3)):
            found.rows.append({"date": day(back), "query": f"q{number}", "page": "/", "country": "deu", "clicks": number, "impressions": 9,
                               "ctr": 0.1, "position": 1.5})  # fmt: skip
        return found

    @pytest.fixture
    def console(self, reading, served, vendor) -> Any:  # noqa: F811
        return reading("google_search_console", served(vendor), extra={**GOOGLE, "types": "WEB, VIDEO", "since": day(12)})

    def test_each_day_is_asked_for_by_itself_until_a_page_is_empty(self, console, vendor) -> None:
        found = console.sync("sites", "sitemaps", "queries")
        assert {name: result["rows"] for name, result in found.items()} == {"sites": 2, "sitemaps": 0, "queries": 5}
        assert {(said["startDate"] == said["endDate"]) for said in vendor.asked[:-1]} == {True}
        web = [said for said in vendor.asked if said["type"] == "WEB"]
        assert [said.get("startRow", 0) for said in web if said["startDate"] == day(4)] == [0, 2, 3]
        row = next(row for row in console.records("queries") if row["query"] == "q1")
        assert (row["site"], row["type"], row["date"], row["ctr"]) == ("sc-domain:acme.example", "WEB", day(4), 0.1)

    def test_days_that_are_told_anew_replace_what_was_told_of_them(self, console, vendor) -> None:
        console.sync("queries")
        del vendor.rows[1]
        vendor.rows[0]["clicks"] = 50  # of a day that is final
        vendor.asked.clear()
        found = console.sync("queries")["queries"]
        assert (found["rows"], found["deletes"]) == (1, 1)
        assert min(said["startDate"] for said in vendor.asked if said["type"] == "WEB") == day(8)

    def test_a_quota_that_is_used_up_is_waited_for(self, reading, served, vendor) -> None:  # noqa: F811
        told = [Answer(403, {"error": {"code": 403, "errors": [{"reason": "quotaExceeded"}]}})]
        console = reading("google_search_console", served(lambda seen: told.pop() if told else vendor(seen)), extra=GOOGLE)
        assert console.sync("sites")["sites"]["rows"] == 2
        assert len(console.slept) >= 1


class YouTube:
    """A channel with videos, of which at most two ids are taken at once as the test says; numbers are texts."""

    def __init__(self, count: int) -> None:
        self.views = {f"v{number}": 10 * number for number in range(count)}
        self.comments = [self.comment(number, back) for number, back in ((1, 40), (2, 20), (3, 1))]
        self.asked: list[tuple[str, dict[str, str]]] = []

    @staticmethod
    def comment(number: int, back: int) -> dict[str, Any]:
        said = {"textOriginal": f"c{number}", "authorDisplayName": "A", "publishedAt": f"{day(back)}T00:00:00Z"}
        return {"id": f"c{number}", "snippet": {"videoId": "v0", "isPublic": True, "topLevelComment": {"snippet": said}}}

    def paged(self, seen: Seen, items: list[Any]) -> Any:
        start, size = int(seen.query.get("pageToken", "P0")[1:]), min(int(seen.query["maxResults"]), 3)
        more = {"nextPageToken": f"P{start + size}"} if start + size < len(items) else {}
        return {"items": items[start : start + size], **more}

    def __call__(self, seen: Seen) -> Any:
        what = seen.path.removeprefix("/youtube/v3/")
        self.asked.append((what, seen.query))
        if what == "channels":
            told = [(name, {"relatedPlaylists": {"uploads": f"UU{name[2:]}"}}) for name in seen.query["id"].split(",")]
            return self.paged(seen, [{"id": name, "contentDetails": lists} for name, lists in told])
        if what == "playlistItems":
            if seen.query["playlistId"] != "UU1":
                return Answer(404, {"error": {"code": 404, "errors": [{"reason": "playlistNotFound"}]}})
            return self.paged(seen, [{"id": f"i-{name}", "contentDetails": {"videoId": name}} for name in self.views])
        if what == "videos":
            wanted = seen.query["id"].split(",")
            assert len(wanted) <= 50
            snippet = {"title": "T", "channelId": "UC1", "publishedAt": "2026-01-31T08:15:00Z"}
            return {"items": [{"id": name, "snippet": snippet, "statistics": {"viewCount": str(self.views[name])}} for name in wanted]}
        if what == "commentThreads":
            return self.paged(seen, sorted(self.comments, key=lambda one: one["id"], reverse=True))
        return {"items": []}


class TestYouTube:
    def test_videos_are_asked_for_together_and_those_that_have_gone_are_marked(self, reading, served) -> None:  # noqa: F811
        vendor = YouTube(7)
        youtube = reading("youtube", served(vendor), extra={**GOOGLE, "channels": "UC1"})
        found = youtube.sync("channels", "uploads", "videos", "statistics", "playlists", "comments")
        assert {name: result["rows"] for name, result in found.items()} == {
            "channels": 1, "uploads": 7, "videos": 7, "statistics": 7, "playlists": 0, "comments": 3,
        }  # fmt: skip
        assert [query["id"] for what, query in vendor.asked if what == "videos" and query["part"] == "statistics"] == [
            "v0,v1,v2",
            "v3,v4,v5",
            "v6",
        ]
        assert {record["id"]: record["viewCount"] for record in youtube.records("statistics")}["v1"] == "10"
        assert "https://www.youtube.com/watch?v=v1" in {record["link"] for record in youtube.records("videos")}
        del vendor.views["v3"]
        youtube.sync("videos")
        assert [record["_key"] for record in youtube.records("videos", run=2) if record["_op"] == "delete"] == ["v3"]

    def test_comments_are_read_until_those_are_old(self, reading, served) -> None:  # noqa: F811
        vendor = YouTube(1)
        youtube = reading("youtube", served(vendor), extra={**GOOGLE, "channels": "UC1"})
        vendor.comments += [vendor.comment(number, 100) for number in range(-6, 1)]
        youtube.sync("comments")
        vendor.comments.append(vendor.comment(4, 0))
        vendor.asked.clear()
        youtube.sync("comments")
        assert youtube.keys("comments", run=2) == ["c4"]
        assert len([what for what, _ in vendor.asked if what == "commentThreads"]) <= 2

    def test_a_channel_without_videos_costs_nothing_but_a_question(self, reading, served) -> None:  # noqa: F811
        vendor = YouTube(1)
        youtube = reading("youtube", served(vendor), extra={**GOOGLE, "channels": "UC1, UC2"})
        found = youtube.sync("channels", "uploads")
        assert (found["channels"]["rows"], found["uploads"]["skips"]) == (2, 1)


class Ads:
    """Two accounts below a manager, two rows a page; 64-bit numbers are texts."""

    def __init__(self) -> None:
        self.days = [{"date": day(back), "cost": str(back * 1_000_000)} for back in (40, 5, 2)]
        self.headers: list[dict[str, str]] = []
        self.queries: list[str] = []

    def __call__(self, seen: Seen) -> Any:
        self.headers.append(seen.headers)
        _, version, _, customer, method = seen.path.replace("/googleAds:", "/").split("/", 4)[0:5]
        assert (version, method) == ("v22", "search")
        if customer == "222":
            told = [{"errors": [{"errorCode": {"authorizationError": "CUSTOMER_NOT_ENABLED"}}]}]
            return Answer(403, {"error": {"code": 403, "status": "PERMISSION_DENIED", "details": told}})
        said = orjson.loads(seen.body)
        self.queries.append(said["query"])
        rows = self.rows(said["query"])
        start = int(said.get("pageToken", 0))
        more = {"nextPageToken": str(start + 2)} if start + 2 < len(rows) else {}
        return {"results": rows[start : start + 2], "fieldMask": "x", **more} if rows else {"fieldMask": "x"}

    def rows(self, query: str) -> list[Any]:
        if "FROM campaign WHERE" in query:
            low, high = query.partition("BETWEEN '")[2].partition("' ORDER")[0].split("' AND '")
            return [
                {"campaign": {"id": "7", "name": "Spring"}, "segments": {"date": one["date"]},
                 "metrics": {"clicks": "3", "costMicros": one["cost"], "conversions": 1.5}}
                for one in self.days if low <= one["date"] <= high
            ]  # fmt: skip
        if "FROM campaign" in query:
            statuses = {"7": "ENABLED", "8": "REMOVED", "9": "PAUSED"}
            return [{"campaign": {"id": name, "name": f"c{name}", "status": status}} for name, status in statuses.items()]
        return []


def test_ads_are_queried_for_each_account_and_their_figures_told_again(reading, served) -> None:  # noqa: F811
    vendor = Ads()
    extra = {**GOOGLE, "developer_token": "dev", "customers": "111, 222", "manager": "999", "since": day(60)}
    ads = reading("google_ads", served(vendor), extra=extra)
    found = ads.sync("customers", "campaigns", "campaign_days")
    assert {name: (result["rows"], result["skips"]) for name, result in found.items()} == {
        "customers": (0, 1), "campaigns": (3, 1), "campaign_days": (3, 1),
    }  # fmt: skip
    assert {(sent["developer-token"], sent["login-customer-id"]) for sent in vendor.headers} == {("dev", "999")}
    assert {record["_key"] for record in ads.records("campaigns") if record["_op"] == "delete"} == {"111|8"}
    row = next(row for row in ads.records("campaign_days") if row["date"] == day(5))
    assert (row["_key"], row["costMicros"], row["conversions"]) == (f"111|{day(5)}|7", "5000000", 1.5)

    ads = reading("google_ads", served(vendor), extra={**extra, "customers": "111"})
    ads.sync("campaign_days")
    vendor.days[1]["cost"] = "9000000"
    del vendor.days[2]
    found = ads.sync("campaign_days")["campaign_days"]
    assert (found["rows"], found["deletes"]) == (2, 1)
    assert f"'{day(32)}' AND" in vendor.queries[-1]


def test_an_account_without_a_manager_sends_none(reading, served) -> None:  # noqa: F811
    vendor = Ads()
    reading("google_ads", served(vendor), extra={**GOOGLE, "developer_token": "dev", "customers": "111"}).sync("campaigns")
    assert all("login-customer-id" not in sent for sent in vendor.headers)
