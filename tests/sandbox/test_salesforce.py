"""The Salesforce server answers as the documentation says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import requests

from spine.sandbox.server import SandboxServer

FIELDS = (
    "Id, FirstName, LastName, Email, Phone, MailingStreet, MailingCity, MailingPostalCode, MailingCountry, AccountId, "
    "CreatedDate, LastModifiedDate, SystemModstamp, IsDeleted"
)


def test_refresh_tokens_rotate_and_work_once(client) -> None:
    first = client.token(grant_type="refresh_token", refresh_token=client.known.refresh_token)
    assert first.status_code == 200
    answer = first.json()
    assert answer["instance_url"] == client.url
    assert answer["token_type"] == "Bearer"
    assert answer["refresh_token"] != client.known.refresh_token
    again = client.token(grant_type="refresh_token", refresh_token=client.known.refresh_token)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    assert client.token(grant_type="refresh_token", refresh_token=answer["refresh_token"]).status_code == 200


def test_wrong_clients_and_grants_are_refused(client) -> None:
    refused = client.token(grant_type="client_credentials", client_secret=client.known.client_id)
    assert refused.json()["error"] == "invalid_client"
    assert client.token(grant_type="client_credentials", client_id="nobody").json()["error"] == "invalid_client_id"
    assert client.token(grant_type="token_exchange").json()["error"] == "unsupported_grant_type"


def test_the_client_may_use_basic_authentication(client) -> None:
    known = client.known
    answer = requests.post(
        f"{client.url}/services/oauth2/token",
        data={"grant_type": "client_credentials"},
        auth=(known.client_id, known.client_secret),
        timeout=10,
    )
    assert answer.status_code == 200
    assert "refresh_token" not in answer.json()


def test_access_tokens_end_after_their_lifetime(tmp_path, client) -> None:
    with SandboxServer({"default": 100}, token_lifetime=0.0) as short:
        client.url = short.url
        client.log_in()
        refused = client.soql("SELECT Id FROM Contact")
    assert refused.status_code == 401
    assert refused.json() == [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]


def test_records_carry_attributes_and_only_what_was_asked(client) -> None:
    record = client.rows(f"SELECT {FIELDS} FROM Contact")[0]
    assert list(record) == ["attributes", *FIELDS.split(", ")]
    assert record["attributes"] == {"type": "Contact", "url": f"/services/data/v61.0/sobjects/Contact/{record['Id']}"}
    assert len(record["Id"]) == 18
    assert record["LastModifiedDate"].endswith(".000+0000")


def test_pages_follow_next_records_url_and_hold_each_row_once(client) -> None:
    first = client.soql("SELECT Id FROM Contact ORDER BY LastModifiedDate", batch=200).json()
    assert (first["done"], len(first["records"])) == (False, 200)
    assert first["nextRecordsUrl"].startswith("/services/data/v61.0/query/01g")
    assert first["nextRecordsUrl"].endswith("-200")
    ids = [row["Id"] for row in client.rows("SELECT Id FROM Contact ORDER BY LastModifiedDate", batch=200)]
    assert len(ids) == len(set(ids)) == first["totalSize"]


def test_a_locator_is_a_snapshot(client) -> None:
    text = "SELECT Id, LastModifiedDate FROM Contact ORDER BY LastModifiedDate, Id"
    before = client.rows(text, batch=200)
    answer = client.soql(text, batch=200).json()
    client.control("advance", {"source": "salesforce", "stream": "contacts", "changed": 300, "created": 50, "deleted": 50})
    found = list(answer["records"])
    while not answer["done"]:
        answer = client.more(answer["nextRecordsUrl"], 200).json()
        found += answer["records"]
    assert found == before


def test_a_time_window_reads_what_lies_in_it(client) -> None:
    rows = client.rows("SELECT Id, LastModifiedDate FROM Contact ORDER BY LastModifiedDate, Id")
    middle = rows[len(rows) // 2]["LastModifiedDate"].replace("+0000", "Z")
    late = client.rows(f"SELECT Id FROM Contact WHERE LastModifiedDate >= {middle} ORDER BY LastModifiedDate, Id")
    early = client.rows(f"SELECT Id FROM Contact WHERE LastModifiedDate < {middle} ORDER BY LastModifiedDate, Id")
    assert [row["Id"] for row in early + late] == [row["Id"] for row in rows]
    key = rows[100]
    after = client.rows(
        f"SELECT Id FROM Contact WHERE LastModifiedDate > {key['LastModifiedDate'].replace('+0000', 'Z')} OR "
        f"(LastModifiedDate = {key['LastModifiedDate'].replace('+0000', 'Z')} AND Id > '{key['Id']}') "
        "ORDER BY LastModifiedDate, Id"
    )
    assert [row["Id"] for row in after] == [row["Id"] for row in rows[101:]]


def test_other_fields_can_be_compared_too(client) -> None:
    rows = client.rows("SELECT Id, Name, Industry, AnnualRevenue, Phone FROM Account")
    wanted = rows[3]
    by_name = client.rows(f"SELECT Id FROM Account WHERE Name = '{wanted['Name']}'")
    assert wanted["Id"] in {row["Id"] for row in by_name}
    some = client.rows("SELECT Id FROM Account WHERE Industry IN ('TECHNOLOGY', 'Banking') AND Phone != null")
    assert {row["Id"] for row in some} == {r["Id"] for r in rows if r["Industry"] in ("Technology", "Banking") and r["Phone"]}
    rich = client.rows("SELECT Id FROM Account WHERE NOT AnnualRevenue <= 1000000")
    assert {row["Id"] for row in rich} == {row["Id"] for row in rows if not (row["AnnualRevenue"] or 1e9) <= 1e6}
    ordered = [row["Name"] for row in client.rows("SELECT Name FROM Account ORDER BY Name DESC LIMIT 20")]
    assert ordered == sorted(ordered, reverse=True)
    assert len(ordered) == 20
    won = client.rows("SELECT Id, StageName, IsWon FROM Opportunity WHERE IsWon = false")
    assert won
    assert all(row["StageName"] != "Closed Won" for row in won)


def test_query_all_also_shows_the_deleted(client) -> None:
    gone = client.rows("SELECT Id, IsDeleted FROM Contact WHERE IsDeleted = true", resource="queryAll")
    assert gone
    assert all(row["IsDeleted"] is True for row in gone)
    assert client.rows("SELECT Id FROM Contact WHERE IsDeleted = true") == []


def test_parents_can_be_selected(client) -> None:
    rows = client.rows("SELECT AccountId, Account.Name FROM Contact")
    linked = next(row for row in rows if row["AccountId"])
    assert linked["Account"]["attributes"]["type"] == "Account"
    assert linked["Account"]["Name"]
    assert next(row for row in rows if not row["AccountId"])["Account"] is None


def test_refused_queries(client) -> None:
    cases = {
        "SELECT Nope FROM Contact": "INVALID_FIELD",
        "SELECT Id FROM Contact WHERE Nope = 1": "INVALID_FIELD",
        "SELECT Id FROM Contact WHERE LastModifiedDate > 'x'": "INVALID_FIELD",
        "SELECT Id FROM Case": "INVALID_TYPE",
        "SELECT Id FROM": "MALFORMED_QUERY",
    }
    for text, code in cases.items():
        answer = client.soql(text)
        assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, code)
    assert client.more("/services/data/v61.0/query/01gNope-200").json()[0]["errorCode"] == "INVALID_QUERY_LOCATOR"


def test_count_limit_header_and_empty_answers(client) -> None:
    answer = client.soql("SELECT COUNT() FROM Opportunity")
    assert answer.json()["totalSize"] > 0
    assert answer.json()["records"] == []
    used, limit = answer.headers["Sforce-Limit-Info"].removeprefix("api-usage=").split("/")
    assert 0 < int(used) < int(limit)
    empty = client.soql("SELECT Id FROM Contact WHERE LastModifiedDate > 2030-01-01T00:00:00Z").json()
    assert empty == {"totalSize": 0, "done": True, "records": []}


def test_tenants_see_their_own_org_only(client, acme) -> None:
    ours = client.rows("SELECT Id, Name FROM Account ORDER BY Id")
    theirs = acme.rows("SELECT Id, Name FROM Account ORDER BY Id")
    assert [row["Name"] for row in ours[:10]] != [row["Name"] for row in theirs[:10]]
    locator = client.soql("SELECT Id FROM Contact", batch=200).json()["nextRecordsUrl"]
    assert acme.more(locator).json()[0]["errorCode"] == "INVALID_QUERY_LOCATOR"


def test_deleted_records_can_be_asked_for_after_they_left_the_bin(client, server) -> None:
    gone = server.sandbox.advance(source="salesforce", stream="contacts", deleted=2, purged=3)["deleted"]
    known = {row["Id"] for row in client.rows("SELECT Id FROM Contact WHERE IsDeleted = true", resource="queryAll")}
    assert len(known & set(gone)) == 2
    now = datetime.now(UTC)
    bounds = {"start": (now - timedelta(hours=1)).isoformat(), "end": (now + timedelta(minutes=2)).isoformat()}
    assert {row["id"] for row in client.deleted("Contact", **bounds).json()["deletedRecords"]} == set(gone)
    for wrong in ({"start": (now - timedelta(days=40)).isoformat()}, {"end": bounds["start"]}, {"start": "x"}):
        assert client.deleted("Contact", **(bounds | wrong)).json()[0]["errorCode"] == "INVALID_REPLICATION_DATE"
    assert client.deleted("Case", **bounds).status_code == 404


def test_a_change_by_the_system_moves_the_stamp_alone(client, server) -> None:
    changed = server.sandbox.advance(source="salesforce", stream="contacts", stamped=3)["changed"]
    rows = client.rows("SELECT Id FROM Contact WHERE LastModifiedDate < 2026-01-01T00:00:00Z") + client.rows(
        "SELECT Id, LastModifiedDate, SystemModstamp FROM Contact"
    )
    assert {row["Id"] for row in rows if row.get("LastModifiedDate", "") < row.get("SystemModstamp", "")} == set(changed)
    server.sandbox.advance(source="salesforce", stream="contacts", changed=100)
    stamped = client.rows("SELECT Id, LastModifiedDate, SystemModstamp FROM Contact")
    assert {row["Id"] for row in stamped if row["LastModifiedDate"] < row["SystemModstamp"]} <= set(changed)
