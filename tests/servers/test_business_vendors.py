"""Sources of business systems against small vendors of our own, written from the vendors' documentation: auth, pages, changes, limits."""

from __future__ import annotations

import base64
import hmac
import re
from typing import Any
from urllib.parse import parse_qs, quote, unquote

import orjson
import pytest

from spine.core.errors import AuthFailed
from tests.http.conftest import Answer, Seen, make_vendor  # noqa: F401  # a fixture
from tests.servers.test_own_vendors import EPOCH, iso, served  # noqa: F401  # a fixture

PROVES = "a server of ours"


class Dataverse:
    """Contacts, as many a page as are preferred, behind a token of Microsoft's; a page names the next by a cookie. It is busy once."""

    def __init__(self, count: int = 11) -> None:
        self.contacts = {f"c{number:03}": self.contact(number, EPOCH + number) for number in range(count)}
        self.asked: list[Seen] = []
        self.busy = 1

    @staticmethod
    def contact(number: int, at: int) -> dict[str, Any]:
        parent = "_parentcustomerid_value"
        return {
            "@odata.etag": f'W/"{number}"', "contactid": f"c{number:03}", "firstname": "Ann", "lastname": f"Lee{number}",
            "emailaddress1": f"ann{number}@example.com", "modifiedon": iso(at), "createdon": iso(EPOCH),
            parent: "a1", f"{parent}@OData.Community.Display.V1.FormattedValue": "Acme Ltd",
            f"{parent}@Microsoft.Dynamics.CRM.lookuplogicalname": "account" if number % 2 else "contact",
        }  # fmt: skip

    def __call__(self, seen: Seen) -> Any:
        if seen.path == "/dir-1/oauth2/v2.0/token":
            told = {name: values[0] for name, values in parse_qs(seen.body.decode()).items()}
            right = {"grant_type": "client_credentials", "client_id": "app", "client_secret": "s"}
            right["scope"] = f"http://{seen.headers['host']}/.default"
            return {"access_token": "t1", "expires_in": 3599} if told == right else Answer(401, {"error": "invalid_client"})
        if seen.headers.get("authorization") != "Bearer t1":
            return Answer(401, {"error": {"code": "0x80072560", "message": "The user is not a member of the organization."}})
        self.asked.append(seen)
        if len(self.asked) == 2 and self.busy:
            self.busy = 0
            error = {"code": "0x80072322", "message": "Number of requests exceeded the limit of 6000 over time window of 300 seconds."}
            return Answer(429, {"error": error}, {"Retry-After": "9"})
        size = int(seen.headers["prefer"].rpartition("odata.maxpagesize=")[2])
        since = seen.query.get("$filter", "").removeprefix("modifiedon ge ")
        found = sorted((one for one in self.contacts.values() if one["modifiedon"] >= since), key=lambda one: one["modifiedon"])
        start = int(seen.query.get("$skiptoken", "<cookie 0").rpartition(" ")[2])
        asked = f"{seen.path}?$filter={quote(seen.query.get('$filter', ''))}"
        link = f"http://{seen.headers['host']}{asked}&$skiptoken=%3Ccookie%20{start + size}"
        more = {"@odata.nextLink": link} if start + size < len(found) else {}
        return {"@odata.context": "x", "value": found[start : start + size], **more}


def small(size: int) -> Any:
    """Pages of a small size."""

    def edit(streams: dict[str, dict[str, Any]], _: Any) -> None:
        for stream in streams.values():
            stream.get("paging", {})["size"] = size

    return edit


def test_dynamics365_turns_pages_by_links_and_waits_when_it_is_told_to(reading, served) -> None:  # noqa: F811
    vendor = Dataverse()
    url = served(vendor)
    account = {"login": "app", "password": "s", "extra": {"directory": "dir-1", "token_url": f"{url}/dir-1/oauth2/v2.0/token"}}
    crm = reading("dynamics365", url, small(4), **account)
    first = crm.sync("contacts")["contacts"]
    assert (first["rows"], first["pages"]) == (11, 3)
    assert sum(crm.slept) >= 9
    assert "$filter" not in vendor.asked[0].query
    assert 'include-annotations="OData.Community' in vendor.asked[-1].headers["prefer"], "labels on each page"
    employers = {record["employer_name"] for record in crm.records("contacts")}
    assert employers == {"Acme Ltd", ""}, "the parent of a contact may be another contact"

    vendor.contacts["c003"] = vendor.contact(3, EPOCH + 5000)
    del vendor.contacts["c004"]
    assert crm.sync("contacts")["contacts"]["rows"] == 1
    crm.sync("contacts", mode="full")
    assert [record["_key"] for record in crm.records("contacts", run=3) if record["_op"] == "delete"] == ["c004"]


def test_dynamics365_refuses_a_wrong_secret_as_credentials_are(reading, served) -> None:  # noqa: F811
    url = served(Dataverse())
    extra = {"directory": "dir-1", "token_url": f"{url}/dir-1/oauth2/v2.0/token"}
    with pytest.raises(AuthFailed):
        reading("dynamics365", url, login="app", password="x", extra=extra).sync("contacts")


class Pipedrive:
    """Deals by a cursor, as many a page as are asked for; deleted ones only where they are asked for."""

    def __init__(self) -> None:
        self.deals = {number: self.deal(number, EPOCH + number) for number in range(1, 8)}

    @staticmethod
    def deal(number: int, at: int, status: str = "open") -> dict[str, Any]:
        times = {"update_time": iso(at), "add_time": iso(EPOCH)}
        return {"id": number, "title": f"d{number}", "status": status, "value": 12.5, "org_id": 3, **times}

    def __call__(self, seen: Seen) -> Any:
        if seen.headers.get("x-api-token") != "key":
            return Answer(401, {"success": False, "error": "unauthorized access", "errorCode": 401})
        if seen.path == "/api/v1/users":
            return {"success": True, "data": [{"id": 1, "name": "Ann"}], "additional_data": None}
        if seen.path != "/api/v2/deals":
            return {"success": True, "data": [], "additional_data": {"next_cursor": None}}
        wanted, since = seen.query["status"].split(","), seen.query.get("updated_since", "")
        found = [one for one in self.deals.values() if one["status"] in wanted and one["update_time"] >= since]
        start, size = int(seen.query.get("cursor", "at0")[2:]), int(seen.query["limit"])
        following = f"at{start + size}" if start + size < len(found) else None
        return {"success": True, "data": found[start : start + size], "additional_data": {"next_cursor": following}}


def test_pipedrive_reads_deals_by_cursor_and_then_changes_and_deletes(reading, served) -> None:  # noqa: F811
    vendor = Pipedrive()
    crm = reading("pipedrive", served(vendor), small(3), password="key")  # pragma: allowlist secret
    first = crm.sync("deals", "users", "persons")
    assert (first["deals"]["rows"], first["deals"]["pages"]) == (7, 3)
    assert (first["users"]["rows"], first["persons"]["rows"]) == (1, 0)
    vendor.deals |= {3: vendor.deal(3, EPOCH + 5000, "deleted"), 9: vendor.deal(9, EPOCH + 5000)}
    crm.sync("deals")
    assert {(record["_key"], record["_op"]) for record in crm.records("deals", run=2)} == {("3", "delete"), ("9", "upsert")}


class NetSuite:
    """SuiteQL over customers: judges signatures, takes the bounds of a question, sorts by id, and gives no more than so many rows."""

    def __init__(self, count: int, most: int) -> None:
        self.most = most
        self.rows = {str(number): self.row(number, EPOCH + number * 60) for number in range(1, count + 1)}
        self.questions: list[str] = []

    @staticmethod
    def row(number: int, at: int) -> dict[str, Any]:
        return {"links": [], "id": str(number), "companyname": f"Firm {number}", "changed_at": told(at)}

    def __call__(self, seen: Seen) -> Any:
        if not signed(seen, "cs", "ts"):
            error = {
                "title": "Unauthorized",
                "status": 401,
                "o:errorDetails": [{"detail": "Invalid login attempt.", "o:errorCode": "INVALID_LOGIN"}],
            }
            return Answer(401, error)
        if seen.headers.get("prefer") != "transient":
            return Answer(
                400, {"title": "Bad Request", "status": 400, "o:errorDetails": [{"detail": "The required request header 'Prefer'"}]}
            )
        question = orjson.loads(seen.body)["q"]
        self.questions.append(question)
        since, until = re.findall(r"'(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)'", question)
        assert question.endswith(" ORDER BY customer.id")
        found = sorted((row for row in self.rows.values() if since <= row["changed_at"] <= until), key=lambda row: int(row["id"]))
        start, size = int(seen.query["offset"]), int(seen.query["limit"])
        page = found[: self.most][start : start + size]
        more = start + size < min(len(found), self.most)
        return {"items": page, "hasMore": more, "offset": start, "count": len(page), "totalResults": len(found)}


def told(at: int) -> str:
    """A time as the questions want it."""
    return iso(at).replace("T", " ").removesuffix("Z")


def signed(seen: Seen, *secrets: str) -> bool:
    """Whether a call has the signature of RFC 5849, made here anew from the words of that document."""
    head = seen.headers.get("authorization", "")
    said = {name: unquote(value) for name, value in re.findall(r'(\w+)="([^"]*)"', head)}
    if said.pop("realm", "") != "1234567_SB1" or said.get("oauth_signature_method") != "HMAC-SHA256":
        return False
    signature = said.pop("oauth_signature", "")
    pairs = sorted((quote(name, safe="~"), quote(value, safe="~")) for name, value in [*said.items(), *seen.query.items()])
    joined = quote("&".join(f"{name}={value}" for name, value in pairs), safe="~")
    place = f"http://{seen.headers['host']}{seen.path}"
    base = f"POST&{quote(place, safe='~')}&{joined}"
    made = hmac.digest("&".join(secrets).encode(), base.encode(), "sha256")
    return hmac.compare_digest(base64.b64encode(made).decode(), signature)


SUITE = {
    "login": "ck",
    "password": "cs",  # pragma: allowlist secret
    "extra": {"token_id": "ti", "token_secret": "ts", "account": "1234567_SB1"},
}  # pragma: allowlist secret


def few(streams: dict[str, dict[str, Any]], said: dict[str, Any]) -> None:
    """A vendor who gives eight rows of a question, three a page."""
    small(3)(streams, said)
    for stream in streams.values():
        stream["cursor"]["windows"]["ceiling"] = 8


def test_netsuite_halves_a_question_of_too_many_rows_and_then_asks_for_changes(reading, served) -> None:  # noqa: F811
    vendor = NetSuite(count=30, most=8)
    erp = reading("netsuite", served(vendor), few, **SUITE)
    erp.sync("customers")
    assert set(erp.keys("customers")) == set(map(str, range(1, 31)))
    assert all("links" not in record for record in erp.records("customers"))
    vendor.rows["7"] = vendor.row(7, EPOCH + 9000)
    vendor.questions.clear()
    erp.sync("customers")
    assert erp.keys("customers", run=2) == ["7"]
    assert told(EPOCH + 1800 - 600) in vendor.questions[0], "from the cursor on, less the look-back"


def test_netsuite_refuses_a_wrong_secret_as_credentials_are(reading, served) -> None:  # noqa: F811
    with pytest.raises(AuthFailed):
        reading("netsuite", served(NetSuite(1, 8)), **{**SUITE, "password": "x"}).sync("customers")
