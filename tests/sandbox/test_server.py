"""The server as a whole: it listens here only, and serves a stream of a hundred thousand rows in little memory."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import psutil
import pytest
import requests

from spine.sandbox.accounts import credentials
from spine.sandbox.server import SandboxServer

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def test_it_listens_on_the_loopback_only() -> None:
    with SandboxServer({"default": 100}) as server:
        port = int(server.url.rpartition(":")[2])
        listening = [one.laddr.ip for one in psutil.Process().net_connections() if one.status == "LISTEN" and one.laddr.port == port]
    assert listening == ["127.0.0.1"]


@pytest.mark.slow
def test_a_hundred_thousand_contacts_come_quickly_and_in_flat_memory() -> None:
    known = credentials("default")
    form = {"grant_type": "client_credentials", "client_id": known.client_id, "client_secret": known.client_secret}
    start = time.monotonic()
    with SandboxServer({"default": 100_000}, now=NOW) as server, requests.Session() as session:
        token = session.post(f"{server.url}/services/oauth2/token", data=form, timeout=10).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        query = {"q": "SELECT Id, LastName FROM Contact ORDER BY LastModifiedDate, Id"}
        answer = session.get(f"{server.url}/services/data/v61.0/queryAll", params=query, headers=headers, timeout=30).json()
        seen, memory = len(answer["records"]), psutil.Process().memory_info().rss
        while not answer["done"]:
            answer = session.get(server.url + answer["nextRecordsUrl"], headers=headers, timeout=30).json()
            seen += len(answer["records"])
        assert seen == 100_000
        assert psutil.Process().memory_info().rss - memory < 100 * 2**20
    assert time.monotonic() - start < 120
