"""Directories of people from small vendors of our own: searches that end at a thousand, logs from an id on, delta links."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from spine.core.errors import AuthFailed
from tests.http.conftest import Answer, Seen
from tests.servers.test_own_vendors import make_vendor, served  # noqa: F401  # fixtures

PROVES = "a server of ours"

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def at(minutes: int) -> str:
    return (BEGIN + timedelta(minutes=minutes)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Auth0:
    """Users, of whom a search shows a thousand; logs by search or by the id before; members by tokens. Its token lives for a day."""

    def __init__(self, users: int) -> None:
        self.users = [
            {"user_id": f"auth0|{number}", "email": f"u{number}@acme.example", "updated_at": at(number)} for number in range(users)
        ]
        self.logs = [{"log_id": f"9002026{number:04}", "date": at(number), "type": "s"} for number in range(250)]
        self.asked: list[dict[str, str]] = []

    def __call__(self, seen: Seen) -> Any:
        if seen.path == "/oauth/token":
            assert b"audience=https%3A%2F%2Facme.eu.auth0.com%2Fapi%2Fv2%2F" in seen.body
            return {"access_token": "made", "expires_in": 86_400, "token_type": "Bearer"}
        if seen.headers.get("authorization") != "Bearer made":
            return Answer(401, {"error": "Unauthorized"})
        self.asked.append(seen.query)
        what = seen.path.removeprefix("/api/v2/")
        if what == "users":
            low, high = seen.query["q"].removeprefix("updated_at:[").removesuffix("]").split(" TO ")
            return self.counted(seen, "users", [user for user in self.users if low <= user["updated_at"] <= high][:1000])
        if what == "logs" and "from" in seen.query:
            after = [log for log in self.logs if log["log_id"] > seen.query["from"]]
            return after[: int(seen.query["take"])]
        if what == "logs":
            start = seen.query.get("q", "date:[").removeprefix("date:[").removesuffix(" TO *]")
            return [log for log in self.logs if log["date"] >= start][: int(seen.query["per_page"])]
        if what == "clients":
            return self.counted(seen, "clients", [{"client_id": "c1", "name": "App", "client_secret": "hidden"}])
        if what == "organizations":
            return self.token(seen, "organizations", [{"id": f"org_{number}", "name": f"o{number}"} for number in range(3)])
        if what == "organizations/org_1/members":
            return Answer(404, {"error": "Not Found"})
        return self.token(seen, "members", [{"user_id": f"auth0|{number}"} for number in range(3)])

    def counted(self, seen: Seen, name: str, rows: list[Any]) -> Any:
        start = int(seen.query["page"]) * int(seen.query["per_page"])
        total = sum(True for _ in self.users) if name == "users" and len(rows) == 1000 else len(rows)
        return {"start": start, "limit": 100, "total": total, name: rows[start : start + int(seen.query["per_page"])]}

    @staticmethod
    def token(seen: Seen, name: str, rows: list[Any]) -> Any:
        start = int(seen.query.get("from", 0))
        return {name: rows[start : start + 2], **({"next": str(start + 2)} if start + 2 < len(rows) else {})}


AUTH0 = {"login": "client", "password": "secret", "extra": {"domain": "acme.eu.auth0.com"}}  # pragma: allowlist secret


def test_more_users_than_a_search_shows_are_read_span_by_span(reading, served) -> None:  # noqa: F811
    vendor = Auth0(2300)
    auth0 = reading("auth0", served(vendor), **AUTH0)
    auth0.sync("users")
    assert len(set(auth0.keys("users"))) == 2300
    assert max(int(asked["page"]) for asked in vendor.asked) < 10, "never beyond the thousandth"
    vendor.users[7] |= {"updated_at": at(5000), "given_name": "Ann"}
    auth0.sync("users")
    assert "auth0|7" in auth0.keys("users", run=2)


def test_logs_go_on_from_the_last_one(reading, served) -> None:  # noqa: F811
    vendor = Auth0(0)
    auth0 = reading("auth0", served(vendor), **AUTH0)
    assert auth0.sync("logs")["logs"]["rows"] == 250
    assert [asked.get("from") for asked in vendor.asked] == [None, "90020260099", "90020260199", "90020260249"]
    vendor.logs.append({"log_id": "90020260300", "date": at(300), "type": "sdu"})
    auth0.sync("logs")
    assert auth0.keys("logs", run=2) == ["90020260300"]


def test_members_are_read_by_tokens_and_no_secret_of_an_application_is_kept(reading, served) -> None:  # noqa: F811
    auth0 = reading("auth0", served(Auth0(0)), **AUTH0)
    found = auth0.sync("clients", "organizations", "organization_members")
    assert (found["organizations"]["rows"], found["organization_members"]["rows"], found["organization_members"]["skips"]) == (3, 6, 1)
    assert "hidden" not in str(auth0.records("clients"))


class Graph:
    """A directory: delta links that hold the number of changes so far, and a log that is filtered by time. Two records a page."""

    def __init__(self, token: str = "") -> None:
        self.token = token
        self.changes: list[dict[str, Any]] = [{"id": f"u{number}", "givenName": f"N{number}"} for number in range(5)]
        self.audits = [{"id": f"a{number}", "activityDateTime": at(number)} for number in range(3)]
        self.groups = [{"id": "g1"}, {"id": "g2"}]
        self.forgotten = 0
        self.asked: list[str] = []

    def __call__(self, seen: Seen) -> Any:
        if not seen.headers.get("authorization", "").startswith("Bearer ") or (self.token and seen.headers["authorization"] != self.token):
            return Answer(401, {"error": {"code": "InvalidAuthenticationToken"}})
        self.asked.append(seen.target)
        here = f"http://{seen.headers['host']}{seen.path}"
        if seen.path == "/v1.0/users/delta":
            start = int(seen.query.get("$skiptoken", seen.query.get("$deltatoken", 0)))
            if start < self.forgotten and "$deltatoken" in seen.query:
                return Answer(410, {"error": {"code": "syncStateNotFound"}})
            after = start + 2
            more = after < len(self.changes)
            link = (
                {"@odata.nextLink": f"{here}?$skiptoken={after}"}
                if more
                else {"@odata.deltaLink": f"{here}?$deltatoken={len(self.changes)}"}
            )
            return {"@odata.context": "x", **link, "value": self.changes[start:after]}
        if seen.path == "/v1.0/auditLogs/directoryAudits":
            low = seen.query.get("$filter", "activityDateTime ge ").removeprefix("activityDateTime ge ")
            return {"value": [audit for audit in self.audits if audit["activityDateTime"] >= low]}
        if seen.path == "/v1.0/groups":
            return {"value": self.groups}
        if seen.path.endswith("/members"):
            return {"value": [{"id": "u0"}, {"id": "u1"}]}
        return Answer(403, {"error": {"code": "Authentication_RequestFromNonPremiumTenantOrB2CTenant"}})


@pytest.fixture
def entra(reading, served) -> Any:  # noqa: F811
    def make(vendor: Graph) -> Any:
        def serve(seen: Seen) -> Any:
            if seen.path == "/token":
                assert b"scope=https%3A%2F%2Fgraph.microsoft.com%2F.default" in seen.body
                return {"access_token": "made", "expires_in": 3599}
            return vendor(seen)

        url = served(serve)
        account = {"login": "app", "password": "secret"}  # pragma: allowlist secret
        return reading("azure_ad", url, extra={"directory": "acme", "token_url": f"{url}/token"}, **account)

    return make


def test_a_delta_link_tells_what_has_changed_and_what_is_gone(entra) -> None:
    vendor = Graph()
    azure = entra(vendor)
    first = azure.sync("users")["users"]
    assert (first["rows"], first["pages"]) == (5, 3)
    vendor.changes += [{"id": "u1", "givenName": "New"}, {"id": "u2", "@removed": {"reason": "deleted"}}]
    vendor.asked.clear()
    azure.sync("users")
    assert {(record["_key"], record["_op"]) for record in azure.records("users", run=2)} == {("u1", "upsert"), ("u2", "delete")}
    assert len(vendor.asked) == 1
    assert azure.sync("users")["users"]["rows"] == 0


def test_a_link_that_is_too_old_means_everything_again(entra) -> None:
    vendor = Graph()
    azure = entra(vendor)
    azure.sync("users")
    vendor.forgotten = 100
    assert azure.sync("users")["users"]["rows"] == 5


def test_members_audits_and_what_needs_a_licence(entra) -> None:
    vendor = Graph()
    azure = entra(vendor)
    found = azure.sync("all_groups", "group_members", "directory_audits")
    assert {name: result["rows"] for name, result in found.items()} == {"all_groups": 2, "group_members": 4, "directory_audits": 3}
    vendor.audits.append({"id": "a9", "activityDateTime": at(90)})
    azure.sync("directory_audits")
    assert azure.keys("directory_audits", run=2) == ["a9"]


def test_a_refused_token_pauses_the_connection(entra) -> None:
    with pytest.raises(AuthFailed):
        entra(Graph("Bearer other")).sync("users")


class Office(Graph):
    """One user with a mailbox and a drive, and one without; a message, an event and a file, each told by a delta link of its own."""

    def __init__(self) -> None:
        super().__init__()
        sender, to = {"emailAddress": {"address": "Ann@acme.example"}}, [{"emailAddress": {"address": "bob@acme.example"}}]
        message = {"id": "m1", "from": sender, "toRecipients": to, "sentDateTime": at(0), "bodyPreview": "Hi"}
        self.told: dict[str, list[dict[str, Any]]] = {
            "mailFolders/inbox/messages/delta": [message], "mailFolders/sent/messages/delta": [],
            "calendarView/delta": [{"id": "e1", "subject": "Talk"}],
            "drive/root/delta": [
                {"id": "root", "folder": {}, "name": "root"}, {"id": "f1", "name": "a.txt", "file": {"mimeType": "text/plain"}},
            ],
        }  # fmt: skip

    def __call__(self, seen: Seen) -> Any:
        if seen.path == "/token":
            return {"access_token": "made", "expires_in": 3599}
        self.asked.append(seen.target)
        if seen.path == "/v1.0/users":
            return {"value": [{"id": name} for name in ("u1", "u2")]}
        _, _, _, user, what = seen.path.split("/", 4)
        if user == "u2":
            return Answer(404, {"error": {"code": "MailboxNotEnabledForRESTAPI"}})
        if what == "mailFolders":
            return {"value": [{"id": "inbox"}, {"id": "sent"}]}
        rows = self.told[what]
        start = int(seen.query.get("$deltatoken", 0))
        return {"value": rows[start:], "@odata.deltaLink": f"http://{seen.headers['host']}{seen.path}?$deltatoken={len(rows)}"}


def test_mail_calendars_and_files_are_told_by_a_link_of_each(reading, served) -> None:  # noqa: F811
    vendor = Office()
    streams = ("users", "mail_folders", "messages", "events", "drive_items")
    url = served(vendor)
    office = reading("microsoft365", url, extra={"directory": "acme", "token_url": f"{url}/token"}, login="a", password="b")
    found = office.sync(*streams)
    assert {name: (found[name]["rows"], found[name]["skips"]) for name in streams} == {
        "users": (2, 0), "mail_folders": (2, 1), "messages": (1, 1), "events": (1, 1), "drive_items": (2, 1),
    }  # fmt: skip
    assert any("startDateTime=2024-01-01T00%3A00%3A00Z" in target for target in vendor.asked)
    assert office.records("messages")[0]["_key"] == "u1|m1"
    vendor.told["mailFolders/inbox/messages/delta"].append({"id": "m1", "@removed": {"reason": "deleted"}})
    vendor.told["drive/root/delta"].append({"id": "f1", "deleted": {"state": "deleted"}})
    office.sync("messages", "events", "drive_items")
    gone = [(name, record["_key"]) for name in streams[2:] for record in office.records(name, run=2) if record["_op"] == "delete"]
    assert gone == [("messages", "u1|m1"), ("drive_items", "u1|f1")]
    assert office.records("events", run=2) == []
