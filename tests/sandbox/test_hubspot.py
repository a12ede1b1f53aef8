"""The HubSpot server answers as the documentation says."""

from __future__ import annotations

from itertools import pairwise

import pytest


def listed(client, name: str, **params) -> list[dict]:
    found, after = [], {}
    while True:
        answer = client.hubspot(name, limit=100, **after, **params).json()
        found += answer["results"]
        if "paging" not in answer:
            return found
        after = {"after": answer["paging"]["next"]["after"]}


@pytest.mark.parametrize("name", ["contacts", "companies", "deals"])
def test_listing_holds_each_object_once(client, name: str) -> None:
    rows = listed(client, name)
    ids = [row["id"] for row in rows]
    assert len(ids) == len(set(ids)) == client.search(name, limit=1).json()["total"]
    assert {"id", "properties", "createdAt", "updatedAt", "archived"} == set(rows[0])


def test_properties_are_texts_and_only_those_asked_for(client) -> None:
    row = client.hubspot("contacts", properties="firstname,zip,nonsense").json()["results"][0]
    assert set(row["properties"]) == {"firstname", "zip", "createdate", "lastmodifieddate", "hs_object_id"}
    row = client.hubspot("companies").json()["results"][0]
    assert set(row["properties"]) == {"name", "domain", "createdate", "hs_lastmodifieddate", "hs_object_id"}
    assert row["updatedAt"] == row["properties"]["hs_lastmodifieddate"]


def test_limits_are_kept(client) -> None:
    assert client.hubspot("contacts", limit=101).json()["category"] == "VALIDATION_ERROR"
    assert client.search("contacts", limit=201).status_code == 400
    assert client.hubspot("contacts", after="x").status_code == 400
    assert client.search("contacts", sorts=["createdate", "email"]).status_code == 400
    assert client.search("contacts", filterGroups=[{"filters": [{"propertyName": "email", "operator": "LIKE"}]}]).status_code == 400


def test_archived_ones_are_listed_apart(client) -> None:
    archived = listed(client, "contacts", archived="true")
    assert archived
    assert all(row["archived"] and row["archivedAt"] for row in archived)
    assert not {row["id"] for row in archived} & {row["id"] for row in listed(client, "contacts")}


def test_search_by_time_in_order(client) -> None:
    changed = [row["updatedAt"] for row in listed(client, "contacts")]
    middle = sorted(changed)[len(changed) // 2]
    for value in (middle, "1769000000000"):
        asked = {"propertyName": "lastmodifieddate", "operator": "GTE", "value": value}
        answer = client.search(
            "contacts",
            filterGroups=[{"filters": [asked]}],
            sorts=[{"propertyName": "lastmodifieddate", "direction": "ASCENDING"}],
            limit=200,
        ).json()
        times = [row["updatedAt"] for row in answer["results"]]
        assert all(left <= right for left, right in pairwise(times))
    assert (
        sum(one >= middle for one in changed)
        == client.search("contacts", filterGroups=[{"filters": [{**asked, "value": middle}]}]).json()["total"]
    )


def test_search_by_id_and_by_other_properties(client) -> None:
    rows = listed(client, "contacts", properties="lastname,email")
    half = rows[len(rows) // 2]["id"]
    by_id = {"propertyName": "hs_object_id", "operator": "GT", "value": half}
    assert client.search("contacts", filterGroups=[{"filters": [by_id]}]).json()["total"] == len(rows) - len(rows) // 2 - 1
    name = rows[0]["properties"]["lastname"]
    same = {"propertyName": "lastname", "operator": "IN", "values": [name]}
    filled = {"propertyName": "email", "operator": "HAS_PROPERTY"}
    found = client.search("contacts", filterGroups=[{"filters": [same]}, {"filters": [filled]}]).json()["total"]
    assert found == sum(row["properties"]["email"] is not None or row["properties"]["lastname"].lower() == name.lower() for row in rows)
    between = {"propertyName": "amount", "operator": "BETWEEN", "value": "1000", "highValue": "2000"}
    deals = client.search("deals", filterGroups=[{"filters": [between]}], properties=["amount"], limit=200).json()["results"]
    assert all(1000 <= float(row["properties"]["amount"]) <= 2000 for row in deals)


def test_nothing_beyond_ten_thousand_results(client) -> None:
    client.control("advance", {"source": "hubspot", "stream": "contacts", "created": 10_500, "at": "2026-01-31T12:00:00Z"})
    assert client.search("contacts", limit=200, after="9800").json()["paging"]["next"]["after"] == "10000"
    refused = client.search("contacts", limit=200, after="10000")
    assert (refused.status_code, refused.json()["category"]) == (400, "VALIDATION_ERROR")
    assert client.search("contacts", limit=1).json()["total"] > 10_500


def test_only_listing_shows_rate_limit_headers(client) -> None:
    assert client.hubspot("contacts").headers["X-HubSpot-RateLimit-Max"] == "100"
    assert not [name for name in client.search("contacts").headers if name.lower().startswith("x-hubspot")]


def test_an_unknown_token_is_refused(client) -> None:
    client.known = type(client.known)("x", "x", "x", "x", "pat-wrong")
    answer = client.hubspot("contacts")
    assert (answer.status_code, answer.json()["category"]) == (401, "INVALID_AUTHENTICATION")


def test_tenants_see_their_own_portal_only(client, acme) -> None:
    ours = [row["properties"]["lastname"] for row in listed(client, "contacts")][:20]
    theirs = [row["properties"]["lastname"] for row in listed(acme, "contacts")][:20]
    assert ours != theirs
