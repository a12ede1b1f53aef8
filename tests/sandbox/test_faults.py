"""Every failure can be set, hits what it should, and leaves the rest alone."""

from __future__ import annotations

import time

import pytest
import requests

from spine.core.errors import ConfigError
from spine.sandbox.faults import Fault, Faults, change_shape

QUERY = "SELECT Id, Email, LastModifiedDate, IsDeleted FROM Contact ORDER BY LastModifiedDate"


def test_rate_limits_tell_how_long_to_wait(client) -> None:
    client.control(
        "faults", [{"kind": "rate_limit", "vendor": "hubspot", "retry_after": 2}, {"kind": "rate_limit", "vendor": "salesforce"}]
    )
    answer = client.hubspot("contacts")
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "2")
    assert (answer.json()["errorType"], answer.json()["policyName"]) == ("RATE_LIMIT", "TEN_SECONDLY_ROLLING")
    assert answer.headers["X-HubSpot-RateLimit-Remaining"] == "0"
    assert client.hubspot("contacts").status_code == 200
    assert client.soql(QUERY).status_code == 429
    assert client.soql(QUERY).status_code == 200


def test_daily_limits(client) -> None:
    client.control("faults", {"kind": "request_limit", "count": None})
    answer = client.soql(QUERY)
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (403, "REQUEST_LIMIT_EXCEEDED")
    assert client.hubspot("deals").json()["policyName"] == "DAILY"


def test_too_many_calls_at_one_time(client) -> None:
    client.control("faults", {"kind": "concurrent_limit", "count": 2})
    assert "Concurrent" in client.soql("SELECT Id FROM Contact").json()[0]["message"]
    assert client.hubspot("contacts").json()["policyName"] == "SECONDLY"


def test_a_query_that_runs_too_long_and_a_page_for_people(client) -> None:
    client.control("faults", {"kind": "query_timeout", "vendor": "salesforce"})
    assert client.soql("SELECT Id FROM Contact").json()[0]["errorCode"] == "QUERY_TIMEOUT"
    client.control("faults", {"kind": "page", "vendor": "hubspot"})
    page = client.hubspot("contacts")
    assert (page.status_code, page.headers["content-type"].partition(";")[0]) == (200, "text/html")


def test_server_errors_from_the_nth_request_on_a_path(client) -> None:
    client.control("faults", {"kind": "server_error", "status": 503, "path": "deals", "nth": 2, "count": 2})
    assert [client.hubspot("deals").status_code for _ in range(4)] == [200, 503, 503, 200]
    assert client.hubspot("contacts").status_code == 200
    client.control("faults", {"kind": "server_error", "vendor": "salesforce"})
    assert client.soql(QUERY).json()[0]["errorCode"] == "UNKNOWN_EXCEPTION"


def test_one_tenant_fails_alone(client, acme) -> None:
    client.control("faults", {"kind": "unauthorized", "tenant": "acme", "count": None})
    assert acme.hubspot("contacts").status_code == 401
    assert acme.soql(QUERY).json()[0]["errorCode"] == "INVALID_SESSION_ID"
    assert client.hubspot("contacts").status_code == 200


def test_silence(client) -> None:
    client.control("faults", {"kind": "hang", "seconds": 0.6})
    with pytest.raises(requests.Timeout):
        client.hubspot("contacts", timeout=0.2)
    start = time.monotonic()
    assert client.hubspot("contacts").status_code == 200
    assert time.monotonic() - start < 0.5


def test_a_connection_cut_in_the_middle(client) -> None:
    client.control("faults", [{"kind": "cut", "vendor": "hubspot"}, {"kind": "cut", "vendor": "salesforce"}])
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        client.hubspot("contacts")
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        client.soql(QUERY)
    assert client.soql(QUERY).status_code == 200


def test_tokens_end_in_the_middle_of_a_sync(client, acme) -> None:
    client.control("faults", {"kind": "expire_tokens", "vendor": "salesforce", "tenant": "default", "nth": 2})
    first = client.soql(QUERY, batch=200).json()
    second = client.more(first["nextRecordsUrl"], 200)
    assert second.status_code == 200
    assert client.more(second.json()["nextRecordsUrl"], 200).status_code == 401
    assert acme.soql(QUERY).status_code == 200
    client.log_in()
    assert client.more(second.json()["nextRecordsUrl"], 200).status_code == 200


def test_a_field_vanishes_between_two_pages(client) -> None:
    client.control("faults", {"kind": "schema_change", "vendor": "salesforce", "stream": "contacts", "field": "Email", "nth": 2})
    first = client.soql(QUERY, batch=200).json()
    assert "Email" in first["records"][0]
    second = client.more(first["nextRecordsUrl"], 200).json()
    assert "Email" not in second["records"][0]
    assert client.soql(QUERY).json()[0]["errorCode"] == "INVALID_FIELD"
    assert client.soql("SELECT Id FROM Account").status_code == 200


def test_a_field_is_renamed_or_changes_its_type(client) -> None:
    change = {"kind": "schema_change", "vendor": "hubspot", "field": "lastname"}
    client.control("faults", {**change, "change": "rename", "to": "surname"})
    assert "surname" in client.hubspot("contacts").json()["results"][0]["properties"]
    requests.delete(f"{client.url}/_sandbox/faults", timeout=10)
    client.control("faults", {**change, "change": "type"})
    assert set(client.hubspot("contacts").json()["results"][0]["properties"]["lastname"]) == {"value"}


@pytest.mark.parametrize(("value", "other"), [(3, "3"), ("2026-01-01T00:00:00Z", 1767225600000), ("x", {"value": "x"})])
def test_other_types(value: object, other: object) -> None:
    fault = Fault("schema_change", field="a", change="type")
    assert change_shape({"a": value, "b": 1}, [fault]) == {"b": 1, "a": other}


@pytest.mark.parametrize("vendor", ["salesforce", "hubspot"])
def test_a_record_is_committed_late_with_an_earlier_time(client, vendor: str) -> None:
    def times() -> dict[str, str]:
        if vendor == "salesforce":
            return {row["Id"]: row["LastModifiedDate"] for row in client.rows(QUERY)}
        found, after = {}, 0
        while page := client.hubspot("contacts", limit=100, after=after).json()["results"]:
            found |= {row["id"]: row["updatedAt"] for row in page}
            after = page[-1]["id"]
        return found

    times()
    pages = len(client.control(f"requests?vendor={vendor}&stream=contacts")["requests"])
    fault = {"kind": "late_commit", "vendor": vendor, "stream": "contacts", "nth": pages, "rows": 2, "lag": 3600}
    client.control("faults", fault)
    first = times()
    second = times()
    late = set(second) - set(first)
    assert len(late) == 2
    assert all(second[one] < max(first.values()) for one in late)


def test_token_requests_fail_only_when_meant(client) -> None:
    client.control("faults", {"kind": "server_error", "vendor": "salesforce", "count": None})
    assert client.token(grant_type="client_credentials").status_code == 200
    client.control("faults", {"kind": "server_error", "path": "oauth2", "count": None})
    assert client.token(grant_type="client_credentials").status_code == 500


def test_faults_can_be_seen_and_cleared(client) -> None:
    client.control("faults", {"kind": "server_error", "vendor": "hubspot", "count": 5})
    client.hubspot("contacts")
    assert client.control("faults")[0]["fired"] == 1
    requests.delete(f"{client.url}/_sandbox/faults", timeout=10)
    assert client.control("faults") == []
    assert client.hubspot("contacts").status_code == 200


@pytest.mark.parametrize(
    "settings",
    [
        {"kind": "earthquake"},
        {"kind": "hang", "minutes": 3},
        {"kind": "schema_change"},
        {"kind": "schema_change", "field": "a", "change": "rename"},
        {"kind": "schema_change", "field": "a", "change": "bend"},
    ],
)
def test_nonsense_is_refused(settings: dict) -> None:
    with pytest.raises(ConfigError):
        Faults().add(**settings)


def test_nonsense_over_http_is_refused(client) -> None:
    assert client.control("faults", {"kind": "earthquake"})["code"] == "CONFIG_INVALID"
    assert client.control("faults", {"vendor": "hubspot"})["code"] == "BAD_REQUEST"
