"""Changes over time, given records, counted requests, and a journal that survives a restart."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from spine.core.errors import ConfigError
from spine.sandbox.accounts import credentials
from spine.sandbox.server import SandboxServer
from spine.sandbox.state import Sandbox
from spine.sandbox.truth import write_truth

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
AT = "2026-02-01T08:00:00Z"


def test_rows_change_appear_and_vanish(client) -> None:
    before = {row["Id"]: row for row in client.rows("SELECT Id, LastName, LastModifiedDate FROM Contact")}
    body = {"source": "salesforce", "stream": "Contact", "changed": 5, "created": 4, "deleted": 3, "at": AT}
    change = client.control("advance", body)
    rows = client.rows(f"SELECT Id, IsDeleted, LastModifiedDate FROM Contact WHERE LastModifiedDate >= {AT}", resource="queryAll")
    assert {row["Id"] for row in rows} == {*change["changed"], *change["created"], *change["deleted"]}
    assert {row["Id"] for row in rows if row["IsDeleted"]} == set(change["deleted"])
    assert not set(change["created"]) & set(before)
    after = client.rows("SELECT Id FROM Contact")
    assert len(after) == len(before) + 4 - 3


@pytest.mark.parametrize(
    ("source", "stream"), [("salesforce", "accounts"), ("salesforce", "opportunities"), ("hubspot", "companies"), ("hubspot", "deals")]
)
def test_every_stream_can_advance(server, source: str, stream: str) -> None:
    change = server.sandbox.advance(source=source, stream=stream, changed=2, created=3, deleted=1, at=AT, spread=60)
    assert [len(change[key]) for key in ("changed", "created", "deleted")] == [2, 3, 1]


def test_late_rows_can_be_committed_at_once(server, client) -> None:
    newest = max(row["LastModifiedDate"] for row in client.rows("SELECT LastModifiedDate FROM Account"))
    change = server.sandbox.advance(source="salesforce", stream="accounts", created=1, late=30)
    row = client.rows(f"SELECT LastModifiedDate FROM Account WHERE Id = '{change['created'][0]}'")[0]
    assert row["LastModifiedDate"] < newest


def test_more_changes_than_rows_are_refused(client) -> None:
    answer = client.control("advance", {"source": "hubspot", "stream": "deals", "changed": 1_000_000})
    assert answer["code"] == "CONFIG_INVALID"
    assert client.control("advance", {"source": "hubspot"})["code"] == "BAD_REQUEST"
    assert "no tenant" in client.control("advance", {"source": "hubspot", "stream": "deals", "tenant": "nobody"})["message"]


def test_given_salesforce_records_are_served_with_their_truth(server, client) -> None:
    records = [
        {
            "Name": "Ada S. McKinley",
            "BillingStreet": "725 S Wells St",
            "BillingPostalCode": "60607",
            "Phone": "3125540600",
            "Source__c": "cps",
        },
        {"Name": "Ada McKinley", "LastModifiedDate": "2026-01-05T00:00:00Z"},
    ]
    body = {"source": "salesforce", "stream": "accounts", "records": records, "replace": True, "truth": ["c1", "c1"], "at": AT}
    ids = client.control("load", body)["ids"]
    rows = client.rows("SELECT Id, Name, Source__c, Industry, LastModifiedDate FROM Account ORDER BY LastModifiedDate")
    assert [row["Id"] for row in rows] == ids[::-1]
    assert rows[1]["Source__c"] == "cps"
    assert rows[1]["Industry"] is None
    truth = server.sandbox.world("default").truth()
    assert {truth["default", "salesforce", "accounts", one] for one in ids} == {"c1"}
    body = {"source": "salesforce", "stream": "accounts", "records": [{"Id": ids[0], "Name": "Ada", "IsDeleted": True}]}
    assert client.control("load", body)["ids"] == ids[:1]
    assert len(client.rows("SELECT Id FROM Account")) == 1
    body["records"] = [{"Id": "001Sb0000zzzzzzAAA", "Name": "Nobody"}]
    assert client.control("load", body)["code"] == "CONFIG_INVALID"


def test_given_hubspot_records_are_served(client) -> None:
    records = [{"name": "Acme", "city": "Chicago", "custom": 3}, {"name": "Old", "archived": True}]
    ids = client.control("load", {"source": "hubspot", "stream": "companies", "records": records, "replace": True})["ids"]
    answer = client.hubspot("companies", properties="name,city,custom,domain").json()["results"]
    assert [row["id"] for row in answer] == ids[:1]
    assert answer[0]["properties"] | {"custom": "3", "domain": None, "name": "Acme"} == answer[0]["properties"]


def test_requests_are_counted_without_secrets(client) -> None:
    client.hubspot("contacts", limit=7)
    client.search("deals", limit=3)
    client.soql("SELECT Id FROM Contact LIMIT 1")
    seen = client.control("requests?vendor=hubspot")
    assert seen["count"] == 2
    assert seen["requests"][0]["query"] == {"limit": "7"}
    assert seen["requests"][1]["body"] == {"limit": 3}
    assert [one["stream"] for one in seen["requests"]] == ["contacts", "deals"]
    assert client.control("requests?path=FROM Contact")["requests"][0]["status"] == 200
    whole = str(client.control("requests"))
    assert client.known.client_secret not in whole
    assert client.known.hubspot_token not in whole
    client.session.delete(f"{client.url}/_sandbox/requests", timeout=10)
    assert client.control("requests")["count"] == 0


def test_status_and_truth(server, client, tmp_path: Path) -> None:
    status = client.session.get(f"{client.url}/", timeout=10).json()
    assert status["status"] == "ok"
    assert status["tenants"]["acme"]["credentials"]["hubspot_token"] == credentials("acme").hubspot_token
    assert status["tenants"]["default"]["rows"]["salesforce.contacts"] > 500
    count = write_truth(server.sandbox.worlds.values(), tmp_path / "truth.csv")
    text = (tmp_path / "truth.csv").read_text()
    assert text == client.session.get(f"{client.url}/_sandbox/truth", timeout=10).text
    assert len(text.splitlines()) == count + 1
    client.session.post(f"{client.url}/_sandbox/expire?tenant=default", timeout=10)
    assert client.soql("SELECT Id FROM Contact").status_code == 401


def test_no_vendor_answer_holds_the_truth(client) -> None:
    truth = set(client.session.get(f"{client.url}/_sandbox/truth", timeout=10).text.split())
    row = client.rows("SELECT Id, Name, AccountId FROM Contact LIMIT 1")[0]
    assert not truth & {str(value) for value in row.values()}


def test_a_restart_goes_on_where_it_was(tmp_path: Path) -> None:
    journal = tmp_path / "state" / "journal.jsonl"
    known = credentials("default")
    form = {"client_id": known.client_id, "client_secret": known.client_secret, "grant_type": "refresh_token"}
    first = Sandbox({"default": 200}, now=NOW, journal=journal, drop=tmp_path)
    rotated = first.refresh({**form, "refresh_token": known.refresh_token})[2]
    first.advance(source="hubspot", stream="contacts", changed=3, created=2, deleted=1, at=AT)
    first.load(source="salesforce", stream="accounts", records=[{"Name": "Acme"}], truth=["a"])
    with journal.open("ab") as torn:
        torn.write(b'{"event": "adv')
    second = Sandbox({"default": 200}, journal=journal, drop=tmp_path)
    assert second.now == NOW
    assert second.world("default").truth() == first.world("default").truth()
    for left, right in zip(first.world("default").tables.values(), second.world("default").tables.values(), strict=True):
        assert (left.modified == right.modified).all()
        assert (left.deleted == right.deleted).all()
    assert second.refresh({**form, "refresh_token": rotated})[2] not in (None, rotated)
    third = Sandbox({"default": 200}, journal=journal, drop=tmp_path)
    assert third.tokens.generation == {"default": 2}


def test_a_journal_of_another_world_is_refused(tmp_path: Path) -> None:
    Sandbox({"default": 200}, journal=tmp_path / "journal")
    with pytest.raises(ConfigError, match="another world"):
        Sandbox({"default": 300}, journal=tmp_path / "journal")


def test_a_taken_port_is_reported() -> None:
    with SandboxServer() as first, pytest.raises(OSError, match="in use"):
        SandboxServer(port=int(first.url.rpartition(":")[2])).__enter__()
