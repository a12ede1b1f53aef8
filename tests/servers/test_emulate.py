"""Sources against the published emulators of vendors, which keep state: pages to the end, changes, refused credentials."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from spine.core.errors import AuthFailed, SourceRejected

PROVES = "emulate, an emulator by others"

GITHUB = {"password": "test_token_admin", "extra": {"organizations": "my-org"}}  # pragma: allowlist secret
SLACK = {"password": "test_token_admin"}  # pragma: allowlist secret
OKTA = {"password": "test_token_admin"}  # pragma: allowlist secret
VERCEL = {"password": "test_token_admin", "extra": {"team_slug": "my-team"}}  # pragma: allowlist secret
DRIVE = {"extra": {"access_token": "testuser@example.com"}}
ACCOUNT = "AC" + "0" * 32
TWILIO = {"login": ACCOUNT, "password": "twilio_test_auth_token", "extra": {"accounts": ACCOUNT}}  # pragma: allowlist secret


def searched(words: str) -> Any:
    """The server lists an organisation's repositories only in a search."""

    def edit(streams: dict[str, dict[str, Any]], _: Any) -> None:
        streams["repositories"] |= {"path": "/search/repositories", "records": "items", "params": {"q": words}}

    return edit


def sized(name: str, size: int) -> Any:
    """Pages of another size."""

    def edit(streams: dict[str, dict[str, Any]], _: Any) -> None:
        streams[name]["paging"]["size"] = size

    return edit


def told(method: str, url: str, **options: Any) -> Any:
    answer = requests.request(method, url, timeout=20, **options)
    assert answer.ok, answer.text[:300]
    return answer.json()


def test_stripe_is_read_to_the_end(reading, emulate) -> None:
    """Its emulator has no events, of which our own vendor tells (`test_stripe_events`)."""
    stripe = reading("stripe", f"{emulate('stripe')}/v1", password="sk_test_123")  # pragma: allowlist secret
    found = stripe.sync("customers", "products", "prices", "charges")
    assert {name: result["rows"] for name, result in found.items()} == {"customers": 261, "products": 130, "prices": 129, "charges": 0}
    assert found["customers"]["pages"] == 3
    assert len(set(stripe.keys("customers"))) == 261
    assert {record["changed_at"] for record in stripe.records("customers")} == {record["created"] for record in stripe.records("customers")}


def test_github_members_and_repositories_by_link_headers(reading, emulate) -> None:
    github = reading("github", emulate("github"), searched("repo"), **GITHUB)
    found = github.sync("repositories", "members", "users")
    assert {name: result["rows"] for name, result in found.items()} == {"repositories": 260, "members": 41, "users": 41}
    assert found["repositories"]["pages"] == 3
    assert {record["organization"] for record in github.records("members")} == {"my-org"}
    assert all(record["_key"].startswith("my-org|") for record in github.records("members"))
    assert {"Dev 0", "Dev 39"} <= {record["name"] for record in github.records("users")}


def test_github_issues_of_each_repository_and_then_only_what_has_changed(reading, emulate) -> None:
    """Two repositories, since each costs a request; what is commented on is changed."""
    url, signed = emulate("github"), {"headers": {"Authorization": "Bearer test_token_admin"}}
    for name in ("repo-000", "repo-001"):
        for number in range(2):
            told("POST", f"{url}/repos/my-org/{name}/issues", json={"title": f"{name} {number}"}, **signed)
    github = reading("github", url, searched("repo-00"), **GITHUB)
    first = github.sync("issues", "pull_requests", "commits", "releases", "workflow_runs")
    assert first["issues"]["rows"] == 4
    assert {record["repository"] for record in github.records("issues")} == {"my-org/repo-000", "my-org/repo-001"}
    again = github.sync("issues")
    assert again["issues"]["rows"] == 0
    told("POST", f"{url}/repos/my-org/repo-001/issues", json={"title": "new"}, **signed)
    github.sync("issues")
    assert [record["title"] for record in github.records("issues", run=3)] == ["new"]


def test_slack_channels_users_messages_and_replies(reading, emulate) -> None:
    url, signed = emulate("slack"), {"headers": {"Authorization": "Bearer test_token_admin"}}
    message = told("POST", f"{url}/api/chat.postMessage", json={"channel": "C000000001", "text": "first"}, **signed)
    told("POST", f"{url}/api/chat.postMessage", json={"channel": "C000000001", "text": "answer", "thread_ts": message["ts"]}, **signed)

    def one_channel(streams: dict[str, dict[str, Any]], _: Any) -> None:
        for name in ("channel_members", "messages"):
            streams[name]["parent"]["filters"] = [{"field": "id", "one_of": ["C000000001"]}]

    slack = reading("slack", f"{url}/api", one_channel, **SLACK)
    found = slack.sync("channels", "users", "channel_members", "messages", "replies")
    assert (found["channels"]["rows"], found["channels"]["pages"]) == (262, 2)
    assert found["users"]["rows"] == 261
    assert "first" in {record["text"] for record in slack.records("messages")}
    assert {record["text"] for record in slack.records("replies")} == {"first", "answer"}
    assert ("C000000001", "U000000001") in {(record["channel"], record["user"]) for record in slack.records("channel_members")}
    told("POST", f"{url}/api/chat.postMessage", json={"channel": "C000000001", "text": "second"}, **signed)
    slack.sync("messages")
    assert [record["text"] for record in slack.records("messages", run=2)] == ["second"]


def test_okta_users_and_groups(reading, emulate) -> None:
    """Its pages hold 30 and are named by numbers; the real ones by a cursor. Both are links."""
    okta = reading("okta", emulate("okta"), **OKTA)
    found = okta.sync("users", "groups", "group_members", "applications")
    assert (found["users"]["rows"], found["users"]["pages"]) == (261, 9)
    assert len(set(okta.keys("users"))) == 261
    assert (found["groups"]["rows"], found["applications"]["rows"]) == (41, 1)
    again = okta.sync("users", "groups")
    assert (again["users"]["rows"], again["groups"]["rows"]) == (0, 0)


def test_vercel_projects_and_teams(reading, emulate) -> None:
    """Pages end at a time, so that neighbouring ones share records: each project comes at least once. Its members have a former shape."""
    url, signed = emulate("vercel"), {"headers": {"Authorization": "Bearer test_token_admin"}, "params": {"slug": "my-team"}}
    for number in range(130):
        told("POST", f"{url}/v11/projects", json={"name": f"made-{number}"}, **signed)
    vercel = reading("vercel", url, **VERCEL)
    found = vercel.sync("projects", "deployments", "teams")
    assert len(set(vercel.keys("projects"))) == 150
    assert found["projects"]["pages"] == 2
    assert (found["teams"]["rows"], found["deployments"]["rows"]) == (1, 0)
    told("POST", f"{url}/v13/deployments", json={"name": "made-1", "target": "production"}, **signed)
    vercel.sync("deployments")
    assert [record["name"] for record in vercel.records("deployments", run=2)] == ["made-1"]


def test_drive_files_and_all_of_them_again_where_a_server_has_no_log_of_changes(reading, emulate) -> None:
    url = emulate("google")
    drive = reading("google_drive", f"{url}/drive/v3", **DRIVE)
    found = drive.sync("files")
    assert (found["files"]["rows"], found["files"]["pages"]) == (260, 1)
    signed = {"headers": {"Authorization": "Bearer testuser@example.com"}}
    told("POST", f"{url}/drive/v3/files", json={"name": "New.txt", "mimeType": "text/plain"}, **signed)
    drive.sync("files")
    assert "New.txt" in [record["name"] for record in drive.records("files", run=2)]
    assert drive.sync("files")["files"]["rows"] == 261


def test_twilio_messages_page_by_page_and_then_only_new_ones(reading, emulate) -> None:
    url = emulate("twilio")
    place = f"{url}/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
    number = told("GET", place.replace("Messages", "IncomingPhoneNumbers"), auth=(ACCOUNT, TWILIO["password"]))
    sender = number["incoming_phone_numbers"][0]["phone_number"]

    def send(body: str) -> None:
        told("POST", place, auth=(ACCOUNT, TWILIO["password"]), data={"To": "+15005550009", "From": sender, "Body": body})

    for count in range(120):
        send(f"message {count}")
    twilio = reading("twilio", url, sized("messages", 50), **TWILIO)
    found = twilio.sync("messages", "calls", "phone_numbers")
    assert (found["messages"]["rows"], found["messages"]["pages"]) == (120, 3)
    assert found["phone_numbers"]["rows"] == 1
    send("one more")
    twilio.sync("messages")
    assert [record["body"] for record in twilio.records("messages", run=2)] == ["one more"]


REFUSED = [
    ("slack", "slack", "/api", SLACK, "users"), ("okta", "okta", "", OKTA, "users"),
    ("google_drive", "google", "/drive/v3", DRIVE, "files"), ("twilio", "twilio", "", TWILIO, "messages"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "service", "path", "account", "stream"), REFUSED, ids=[name for name, *_ in REFUSED])
def test_who_is_not_signed_in_is_refused_as_credentials_are(reading, emulate, source, service, path, account, stream) -> None:
    def unsigned(_: Any, said: dict[str, Any]) -> None:
        said["auth"] = {"type": "none"}

    with pytest.raises(AuthFailed):
        reading(source, f"{emulate(service)}{path}", unsigned, **account).sync(stream)


def test_a_wrong_token_is_refused(reading, emulate) -> None:
    with pytest.raises(AuthFailed):
        reading("twilio", emulate("twilio"), **{**TWILIO, "password": "wrong"}).sync("messages")  # pragma: allowlist secret


def test_entra_gives_an_application_its_token(reading, emulate) -> None:
    """It plays the sign-in alone: with the token made, the directory itself is not there; without a client's secret there is none."""
    url = emulate("microsoft")
    client = {"login": "example-client-id", "extra": {"directory": "acme", "token_url": f"{url}/oauth2/v2.0/token"}}
    azure = reading("azure_ad", url, password="example-client-secret", **client)  # pragma: allowlist secret
    with pytest.raises(SourceRejected, match="404"):
        azure.sync("users")
    with pytest.raises(AuthFailed):
        reading("azure_ad", url, password="other", **client).sync("users")  # pragma: allowlist secret
