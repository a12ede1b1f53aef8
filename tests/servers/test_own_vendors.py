"""Sources against small vendors of our own, written from the vendors' documentation, for what no published server does."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import orjson
import pytest

from spine.core.errors import AuthFailed, SourceRejected
from spine.sandbox.crm import COUNTS, KEY
from spine.sandbox.server import SandboxServer
from tests.http.conftest import Answer, Seen, make_vendor  # noqa: F401  # a fixture

PROVES = "a server of ours"

EPOCH = 1_700_000_000


def iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


@pytest.fixture
def served(make_vendor: Callable[..., Any]) -> Callable[..., str]:  # noqa: F811
    """The address of a vendor that answers `serve(request)` with JSON, or with an Answer."""

    def make(serve: Callable[[Seen], Any]) -> str:
        def told(seen: Seen, _: int) -> Answer:
            found = serve(seen)
            return found if isinstance(found, Answer) else Answer(json=found)

        return make_vendor(told).url

    return make


class Zendesk:
    """Exports of three a page that go on until they say so, comments two a page, and an agent's token."""

    TOKEN = "Basic " + base64.b64encode(b"ann@example.com/token:key").decode()

    def __init__(self) -> None:
        self.tickets = [self.ticket(number, EPOCH + number * 100) for number in range(1, 11)]
        self.asked: list[str] = []

    @staticmethod
    def ticket(number: int, at: int, status: str = "open") -> dict[str, Any]:
        return {"id": number, "subject": f"t{number}", "status": status, "created_at": iso(EPOCH), "updated_at": iso(at), "at": at}

    def __call__(self, seen: Seen) -> Any:
        if seen.headers.get("authorization") != self.TOKEN:
            return Answer(401, {"error": "Couldn't authenticate you"})
        self.asked.append(seen.target)
        host = f"http://{seen.headers['host']}"
        if seen.path == "/api/v2/incremental/tickets/cursor.json":
            since, place = (int(part) for part in seen.query.get("cursor", f"{seen.query.get('start_time', 0)}.0").split("."))
            found = sorted((ticket for ticket in self.tickets if ticket["at"] >= since), key=lambda ticket: ticket["at"])
            after = f"{host}{seen.path}?cursor={since}.{place + 3}"
            return {"tickets": found[place : place + 3], "after_url": after, "end_of_stream": place + 3 >= len(found)}
        if seen.path == "/api/v2/incremental/organizations.json":
            firm = {"id": 7, "name": "Acme", "domain_names": ["acme.example"], "updated_at": iso(EPOCH), "deleted_at": None}
            return {"organizations": [firm], "next_page": f"{host}{seen.path}?start_time=1", "end_of_stream": True}
        if seen.path.endswith("/comments.json"):
            ticket, place = seen.path.split("/")[4], int(seen.query.get("page[after]", 0))
            comments = [{"id": int(ticket) * 10 + number, "body": "x", "public": True} for number in range(3)]
            link = f"{host}{seen.path}?page[after]={place + 2}&page[size]=2"
            return {"comments": comments[place : place + 2], "meta": {"has_more": place == 0}, "links": {"next": link}}
        return Answer(404, {"error": "InvalidEndpoint"})


ANN = {"login": "ann@example.com", "password": "key"}  # pragma: allowlist secret


def test_zendesk_exports_until_they_end_and_then_what_has_changed(reading, served) -> None:
    vendor = Zendesk()
    zendesk = reading("zendesk", served(vendor), **ANN)
    first = zendesk.sync("tickets", "organizations", "comments")
    assert (first["tickets"]["rows"], first["tickets"]["pages"]) == (10, 4)
    assert zendesk.records("organizations")[0]["domain"] == "acme.example"
    assert len(set(zendesk.keys("comments"))) == 30

    vendor.tickets[2] = vendor.ticket(3, EPOCH + 5000, "deleted")
    vendor.tickets.append(vendor.ticket(11, EPOCH + 5100))
    vendor.asked.clear()
    zendesk.sync("tickets", "comments")
    assert {(record["_key"], record["_op"]) for record in zendesk.records("tickets", run=2)} == {("3", "delete"), ("11", "upsert")}
    asked = {target.split("/")[4] for target in vendor.asked if "comments" in target}
    assert "11" in asked
    assert asked.isdisjoint({"1", "2", "3"}), "comments only of living tickets that have changed"


def test_zendesk_refuses_a_wrong_token_as_credentials_are(reading, served) -> None:
    zendesk = reading("zendesk", served(Zendesk()), login="ann@example.com", password="other")
    with pytest.raises(AuthFailed):
        zendesk.sync("tickets")


class Stripe:
    """Two invoices, and events newest first, two a page."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def happened(self, kind: str, at: int, **fields: Any) -> None:
        thing = {"id": "in_1", "object": "invoice", "created": EPOCH, **fields}
        self.events.insert(0, {"id": f"evt_{len(self.events)}", "type": kind, "created": at, "data": {"object": thing}})

    def __call__(self, seen: Seen) -> Any:
        if seen.path == "/v1/invoices":
            invoices = [{"id": f"in_{number}", "object": "invoice", "created": EPOCH, "status": "draft"} for number in (2, 1)]
            return {"data": invoices, "has_more": False}
        asked = parse_qs(seen.target.partition("?")[2])
        wanted = [event for event in self.events if event["type"] in asked["types[]"] and event["created"] >= int(asked["created[gte]"][0])]
        names = [event["id"] for event in wanted]
        start = names.index(asked["starting_after"][0]) + 1 if "starting_after" in asked else 0
        return {"data": wanted[start : start + 2], "has_more": start + 2 < len(wanted)}


def test_stripe_events_of_one_second_keep_their_order_over_pages(reading, served) -> None:
    vendor = Stripe()
    stripe = reading("stripe", f"{served(vendor)}/v1", password="sk_test_1")  # pragma: allowlist secret
    assert stripe.sync("invoices")["invoices"]["rows"] == 2
    for kind, status in (("created", "draft"), ("updated", "draft"), ("finalized", "open"), ("paid", "paid")):
        vendor.happened(f"invoice.{kind}", EPOCH + 900, status=status)
    vendor.happened("customer.created", EPOCH + 900)
    stripe.sync("invoices")
    found = sorted(stripe.records("invoices", run=2), key=lambda record: record["changed_at"])
    assert [record["status"] for record in found] == ["draft", "draft", "open", "paid"]
    vendor.happened("invoice.deleted", EPOCH + 5000, status="draft")
    stripe.sync("invoices")
    newest = max(stripe.records("invoices", run=3), key=lambda record: str(record["changed_at"]))
    assert (newest["_key"], newest["_op"]) == ("in_1", "delete")


def test_stripe_is_listed_again_after_a_pause_in_which_it_forgets_events(reading, served) -> None:
    vendor = Stripe()
    stripe = reading("stripe", f"{served(vendor)}/v1", password="sk_test_1")  # pragma: allowlist secret
    stripe.sync("invoices")
    assert stripe.sync("invoices")["invoices"]["rows"] == 0
    with stripe.services.database.of(stripe.tenant).begin() as connection:
        connection.exec_driver_sql("UPDATE spine.stream_runs SET started_at = started_at - interval '29 days'")
    assert stripe.sync("invoices")["invoices"]["rows"] == 2, "the lists again"
    vendor.happened("invoice.paid", EPOCH + 900, status="paid")
    assert stripe.sync("invoices")["invoices"]["rows"] == 1, "and then events"


@pytest.mark.parametrize(
    ("word", "error", "text"),
    [("token_revoked", AuthFailed, "credentials"), ("missing_scope", SourceRejected, "every request was refused"),
     ("invalid_arguments", SourceRejected, "invalid_arguments")],
)  # fmt: skip
def test_slack_tells_with_status_200_what_is_wrong(reading, served, word, error, text) -> None:
    slack = reading("slack", f"{served(lambda seen: {'ok': False, 'error': word})}/api", password="xoxb")
    with pytest.raises(error, match=text):
        slack.sync("users")


def test_slack_channels_that_the_bot_may_not_read_cost_nothing_but_themselves(reading, served) -> None:
    def serve(seen: Seen) -> Any:
        form = parse_qs(seen.body.decode())
        if seen.path.endswith("conversations.list"):
            return {"ok": True, "channels": [{"id": name} for name in ("C1", "C2")], "response_metadata": {"next_cursor": ""}}
        if form["channel"] == ["C1"]:
            return {"ok": False, "error": "not_in_channel"}
        return {"ok": True, "messages": [{"ts": f"{EPOCH}.000100", "text": "hi", "user": "U1"}], "has_more": False}

    slack = reading("slack", f"{served(serve)}/api", password="xoxb")
    found = slack.sync("messages")["messages"]
    assert (found["rows"], found["skips"]) == (1, 1)
    assert slack.keys("messages") == [f"C2|{EPOCH}.000100"]


def test_rows_of_sheets_have_the_names_of_their_first_row(reading, served) -> None:
    sheets = {
        "Sales": [["id", "sum", 2024], ["1", 5], ["2", 7.5, "x"]],
        "Empty": None,
        "Heads only": [["id", "sum"]],
    }

    def serve(seen: Seen) -> Any:
        name = seen.path.rpartition("/")[2].replace("%20", " ")
        if name in sheets:
            return {"range": f"{name}!A1:Z", **({"values": sheets[name]} if sheets[name] else {})}
        properties = [{"properties": {"sheetId": number, "title": title}} for number, title in enumerate(sheets)]
        return {"spreadsheetId": name, "properties": {"title": "Book"}, "sheets": properties}

    google = reading("google_sheets", served(serve), extra={"access_token": "x", "spreadsheets": "s1"})
    found = google.sync("spreadsheets", "sheets", "rows")
    assert {name: result["rows"] for name, result in found.items()} == {"spreadsheets": 1, "sheets": 3, "rows": 2}
    rows = sorted(google.records("rows"), key=lambda row: row["id"])
    assert [{name: value for name, value in row.items() if name[0] != "_"} for row in rows] == [
        {"id": "1", "sum": 5, "spreadsheet_id": "s1", "sheet": "Sales"},
        {"id": "2", "sum": 7.5, "2024": "x", "spreadsheet_id": "s1", "sheet": "Sales"},
    ]
    sheets["Sales"][1] = ["1", 6]
    google.sync("rows")
    assert sorted(record["_op"] for record in google.records("rows", run=2) if record["_op"] == "delete") == ["delete"]


def test_a_sheet_has_a_table_of_its_own_if_it_is_named(reading, served) -> None:
    def serve(seen: Seen) -> Any:
        if "/values/" in seen.path:
            return {"values": [["id", "of"], ["1", seen.path.rpartition("/")[2]]]}
        return {
            "sheets": [
                {"properties": {"sheetId": number, "title": title}} for number, title in enumerate(("Sales 2025", "Sales 2026", "Notes"))
            ]
        }

    url = served(serve)
    assert reading("google_sheets", url, extra={"access_token": "x", "spreadsheets": "s1"}).sync("sheet") == {}
    google = reading("google_sheets", url, extra={"access_token": "x", "spreadsheets": "s1", "tables": "Sales*"})
    found = google.sync("sheet")
    assert {name: result["rows"] for name, result in found.items()} == {"sheet_sales_2025": 1, "sheet_sales_2026": 1}
    assert [record["of"] for record in google.records("sheet_sales_2026")] == ["Sales%202026"]


def test_documents_have_their_text(reading, served) -> None:
    def paragraph(*texts: str) -> dict[str, Any]:
        return {"paragraph": {"elements": [{"textRun": {"content": text}} for text in texts]}}

    def serve(seen: Seen) -> Any:
        body = {"content": [{"sectionBreak": {}}, paragraph("Hello ", "world\n"), paragraph("Bye\n")]}
        return {"documentId": seen.path.rpartition("/")[2], "title": "D", "body": body}

    docs = reading("google_docs", served(serve), extra={"access_token": "x", "documents": "d1, d2"})
    assert docs.sync("documents")["documents"]["rows"] == 2
    assert {record["text"] for record in docs.records("documents")} == {"Hello world\nBye\n"}


def test_intercom_lists_first_and_searches_then(reading, served) -> None:
    contacts = [{"id": f"c{number}", "name": f"N {number}", "updated_at": EPOCH + number * 1000} for number in range(5)]
    asked: list[tuple[str, Any]] = []

    def serve(seen: Seen) -> Any:
        said = orjson.loads(seen.body) if seen.body else {}
        asked.append((seen.path, said))
        paged = said.get("pagination", seen.query)
        found = [one for one in contacts if one["updated_at"] > said.get("query", {}).get("value", 0)]
        start = int(paged.get("starting_after", 0))
        more = {"next": {"starting_after": str(start + 2)}} if start + 2 < len(found) else {}
        return {"data": found[start : start + 2], "pages": more}

    intercom = reading("intercom", served(serve), password="x")
    assert intercom.sync("contacts")["contacts"]["rows"] == 5
    contacts[1]["updated_at"] = EPOCH + 200_000
    asked.clear()
    intercom.sync("contacts")
    assert intercom.keys("contacts", run=2) == ["c1"]
    assert {path for path, _ in asked} == {"/contacts/search"}
    assert asked[0][1]["query"] == {"field": "updated_at", "operator": ">", "value": EPOCH + 4000 - 86_400}


@pytest.mark.parametrize(
    ("code", "error"), [("INVALID_API_KEYS", AuthFailed), ("ITEM_LOGIN_REQUIRED", AuthFailed), ("PRODUCTS_NOT_SUPPORTED", SourceRejected)]
)
def test_plaid_tells_with_status_400_what_is_wrong(reading, served, code, error) -> None:
    plaid = reading("plaid", served(lambda seen: Answer(400, {"error_code": code})), login="x", password="y", extra={"access_token": "z"})
    with pytest.raises(error):
        plaid.sync("holdings")


def test_plaid_begins_anew_when_its_pages_change_meanwhile_and_then_tells_changes(reading, served) -> None:
    state: dict[str, Any] = {"broken": True, "changed": False}

    def serve(seen: Seen) -> Any:
        said = orjson.loads(seen.body)
        assert said["access_token"] == "z"
        place = int(said.get("cursor", 0))
        if place and state.pop("broken", False):
            return Answer(400, {"error_code": "TRANSACTIONS_SYNC_MUTATION_DURING_PAGINATION"})
        rows = [{"transaction_id": f"t{number}", "amount": 1.5} for number in range(5)]
        told = {"added": rows[place : place + 2], "modified": [], "removed": [], "has_more": place + 2 < len(rows)}
        if place >= 6 and state["changed"]:
            gone = [{"transaction_id": "t4", "account_id": "a"}]
            told = {"added": [], "modified": [{"transaction_id": "t0", "amount": 9.5}], "removed": gone, "has_more": False}
        return {**told, "next_cursor": str(place + 2)}

    plaid = reading("plaid", served(serve), login="x", password="y", extra={"access_token": "z"})
    plaid.sync("transactions")
    assert set(plaid.keys("transactions")) == {f"t{number}" for number in range(5)}
    state["changed"] = True
    plaid.sync("transactions")
    found = {(record["_key"], record["_op"]) for record in plaid.records("transactions", run=2)}
    assert found == {("t0", "upsert"), ("t4", "delete")}


def test_drive_tells_what_has_changed_and_asks_who_may_read_that_alone(reading, served) -> None:
    state: dict[str, Any] = {"token": "10", "changes": []}
    asked: list[str] = []

    def serve(seen: Seen) -> Any:
        asked.append(seen.path)
        if seen.path == "/changes/startPageToken":
            return {"startPageToken": state["token"]}
        if seen.path == "/files":
            start = int(seen.query.get("pageToken", 0))
            files = [{"id": f"f{number}", "name": f"n{number}", "trashed": False} for number in range(3)]
            return {"files": files[start : start + 2], **({"nextPageToken": "2"} if start == 0 else {})}
        if seen.path == "/changes":
            assert seen.query["pageToken"] == "10"
            return {"changes": state["changes"], "newStartPageToken": "20"}
        return {"permissions": [{"id": "p1", "type": "user", "role": "reader"}]}

    drive = reading("google_drive", served(serve), extra={"access_token": "x"})
    assert drive.sync("files", "permissions")["permissions"]["rows"] == 3
    state["changes"] = [
        {"changeType": "file", "fileId": "f0", "removed": False, "file": {"id": "f0", "name": "new", "trashed": False}},
        {"changeType": "file", "fileId": "f1", "removed": True},
        {"changeType": "file", "fileId": "f2", "removed": False, "file": {"id": "f2", "name": "n2", "trashed": True}},
        {"changeType": "drive", "driveId": "d1", "removed": False},
    ]
    asked.clear()
    drive.sync("files", "permissions")
    found = {(record["_key"], record["_op"]) for record in drive.records("files", run=2)}
    assert found == {("f0", "upsert"), ("f1", "delete"), ("f2", "delete")}
    assert [path for path in asked if path.endswith("permissions")] == ["/files/f0/permissions"]


def test_paths_of_an_api_that_has_no_file_of_its_own(reading, served) -> None:
    def serve(seen: Seen) -> Any:
        if seen.path == "/v1/customers":
            more = {} if "page" in seen.query else {"Link": '</v1/customers?page=2>; rel="next"'}
            return Answer(json=[{"id": 1 + 2 * len(seen.query)}, {"id": 2 + 2 * len(seen.query)}], headers=more)
        return {"items": [{"sku": "a", "stock": state["stock"]}], "total": 1}

    state = {"stock": 3}
    rest = reading("rest", served(serve), password="x", extra={"paths": "v1/customers, v1/items"})
    assert rest.sync("records")["records"]["rows"] == 5
    assert sorted(row["id"] for row in rest.records("records") if row["requested_path"] == "v1/customers") == [1, 2, 3, 4]
    state["stock"] = 2
    rest.sync("records")
    assert [row["_op"] for row in rest.records("records", run=2)].count("delete") == 1


def test_the_mock_crm_of_the_sandbox(reading) -> None:
    with SandboxServer({"default": 20}) as server:
        crm = reading("mock_crm", f"{server.url}/mock_crm/v1", password=KEY)
        found = crm.sync("contacts", "accounts", "products", "orders")
        assert {name: result["rows"] for name, result in found.items()} == COUNTS
        assert crm.sync("orders")["orders"]["rows"] == 0
