"""Sources against mocks of the vendors' own API descriptions, which check each request and answer from their examples.

A mock turns no pages: the same one comes for ever. So pages end after the first here, and what ends an endless vendor is told by a test of
its own. What the description does not hold is not read here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from spine.core.errors import AuthFailed, SourceRejected

PROVES = "a mock of the vendor's own description"

ACCOUNT = "AC" + "0" * 32


@dataclass(frozen=True)
class Mocked:
    """A source, its description, the streams that are in it, and what its Connection holds.

    `reports` are streams whose example is one value in place of a row of as many as were asked for: requests alone are judged.
    """

    source: str
    description: str
    streams: tuple[str, ...]
    account: dict[str, Any] = field(default_factory=lambda: {"password": "x"})
    path: str = ""
    reports: tuple[str, ...] = ()


GOOGLE = {"access_token": "x"}
MOCKED = [
    Mocked("github", "github", ("repositories", "members", "issues", "pull_requests", "commits", "issue_comments"),
           {"password": "x", "extra": {"organizations": "o"}}),
    Mocked("slack", "slack", ("channels", "users", "channel_members", "messages", "files")),
    Mocked("okta", "okta", ("users", "groups", "group_members", "applications", "logs")),
    Mocked("twilio", "twilio", ("accounts", "messages", "calls", "recordings", "phone_numbers"),
           {"login": ACCOUNT, "password": "x", "extra": {"accounts": ACCOUNT}}),
    Mocked("plaid", "plaid", ("item", "accounts", "transactions", "owners", "holdings", "credit_cards"),
           {"login": "x", "password": "x", "extra": {"access_token": "access-sandbox-x"}}),
    Mocked("intercom", "intercom", ("contacts", "companies", "conversations", "tickets", "admins", "teams", "tags")),
    Mocked("digitalocean", "digitalocean", (
        "account", "droplets", "volumes", "databases", "kubernetes_clusters", "domains", "projects", "apps",
        "invoices", "billing_history", "balance")),
    Mocked("google_sheets", "google_sheets_v4", ("rows",), {"extra": {**GOOGLE, "spreadsheets": "s1"}}),
    Mocked("google_docs", "google_docs_v1", ("documents",), {"extra": {**GOOGLE, "documents": "d1"}}),
    Mocked("google_drive", "google_drive_v3", ("files", "drives"), {"extra": GOOGLE}),
    Mocked("ga4", "google_analyticsdata_v1beta", ("sessions", "events", "pages", "dimensions", "metrics"),
           {"extra": {**GOOGLE, "properties": "1", "since": "1970-01-01"}}, reports=("sessions", "events", "pages")),
    Mocked("google_search_console", "google_searchconsole_v1", ("sites", "sitemaps", "queries", "pages", "days"),
           {"extra": {**GOOGLE, "since": "today"}}, reports=("queries", "pages", "days")),
    Mocked("youtube", "google_youtube_v3", ("channels", "uploads", "videos", "statistics", "playlists", "playlist_items", "comments"),
           {"extra": {**GOOGLE, "channels": "UC1"}}),
    Mocked("bigquery", "google_bigquery_v2", ("datasets", "tables", "rows", "results"),
           {"extra": {**GOOGLE, "project": "acme", "tables": "shop.orders", "queries": ["SELECT 1, 2"]}},
           reports=("rows", "results")),
]  # fmt: skip
NAMES = [mocked.source for mocked in MOCKED]


def fitting(mocked: Mocked, **words: Any) -> Any:
    """The file as its mock can answer it: pages end after the first one, and what a description has otherwise."""

    def edit(streams: dict[str, dict[str, Any]], said: dict[str, Any]) -> None:
        said.update(words)
        for stream in streams.values():
            for asked in (stream, stream.get("later", {})):
                if "paging" in asked:
                    asked["paging"] = {**asked["paging"], "stop": "`true`"}
        if mocked.source == "github":  # its answers are called application/json
            said["headers"]["Accept"] = "application/json"
        if mocked.source == "slack":  # the description of 2021 has these methods by GET
            for stream in streams.values():
                stream["params"] = stream.pop("body")["form"]
                stream.get("paging", {}).pop("into", None)
        if mocked.source == "google_sheets":  # a spreadsheet is too large for the mock to make up
            rows = streams["rows"]
            del rows["parent"]
            rows |= {"path": "/v4/spreadsheets/s/values/A1", "compute": {}}

    return edit


@pytest.mark.parametrize("mocked", MOCKED, ids=NAMES)
def test_requests_are_as_the_description_says_and_its_examples_have_keys(reading, prism, mocked) -> None:
    vendor = reading(mocked.source, f"{prism(mocked.description)}{mocked.path}", fitting(mocked), **mocked.account)
    found = vendor.sync(*mocked.streams)
    assert {name: result["skips"] for name, result in found.items()} == dict.fromkeys(mocked.streams, 0)
    for name in set(mocked.streams) - set(mocked.reports):
        assert all(not key.startswith("malformed:") for key in vendor.keys(name)), name
    assert sum(result["rows"] for result in found.values()) > 0 or mocked.source == "google_sheets"  # a sheet of one empty cell


@pytest.mark.parametrize("mocked", MOCKED, ids=NAMES)
def test_who_is_not_signed_in_is_refused_as_credentials_are(reading, prism, mocked) -> None:
    unsigned = fitting(mocked, auth={"type": "none"})
    vendor = reading(mocked.source, f"{prism(mocked.description)}{mocked.path}", unsigned, **mocked.account)
    with pytest.raises(AuthFailed):
        vendor.sync(mocked.streams[0])


def test_a_vendor_that_gives_the_same_page_for_ever_is_refused(reading, prism) -> None:
    with pytest.raises(SourceRejected, match=r"same page|again"):
        reading("twilio", prism("twilio"), login=ACCOUNT, password="x", extra={"accounts": ACCOUNT}).sync("messages")
