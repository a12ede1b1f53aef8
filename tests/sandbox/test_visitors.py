"""A page of another site, open in a browser of this machine, neither writes into the sandbox nor reads from it."""

from __future__ import annotations

import http.client
from collections.abc import Iterator

import pytest
import requests

from spine.sandbox.server import SandboxServer

BODY = '{"day": 30}'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxServer]:
    """One for all: who is refused changes nothing."""
    with SandboxServer({"default": 60}, drop=tmp_path_factory.mktemp("drop")) as running:
        yield running


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1", "http://127.0.0.1:1", "file://"])
@pytest.mark.parametrize("word", ["drop", "load", "advance", "faults", "expire"])
def test_a_page_of_another_site_writes_nothing(server, origin, word):
    before = sorted(server.sandbox.drop.rglob("*"))
    answer = requests.post(f"{server.url}/_sandbox/{word}", data=BODY, headers={"Origin": origin, "Content-Type": "text/plain"}, timeout=10)
    assert (answer.status_code, answer.json()["code"]) == (403, "FOREIGN_ORIGIN")
    assert sorted(server.sandbox.drop.rglob("*")) == before
    assert server.sandbox.faults.as_list() == []


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1.evil.example", "10.0.0.1", "", "localhost.", "[::2]:{port}"]
)
@pytest.mark.parametrize("path", ["/", "/_sandbox", "/_sandbox/truth", "/_sandbox/requests"])
def test_a_name_that_was_made_to_lead_here_reads_nothing(server, host, path):
    port = int(server.url.rpartition(":")[2])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.putrequest("GET", path, skip_host=True)
    connection.putheader("Host", host.format(port=port))
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 403
    assert b"credentials" not in answer.read()
    connection.close()


def test_programs_and_its_own_pages_may_ask_by_each_name_of_this_machine(server):
    port = server.url.rpartition(":")[2]
    for name in ("127.0.0.1", "localhost", "LOCALHOST", "[::1]"):
        assert requests.get(f"{server.url}/_sandbox", headers={"Host": f"{name}:{port}"}, timeout=10).ok
    assert requests.post(f"{server.url}/_sandbox/drop", data=BODY, headers={"Origin": server.url}, timeout=10).ok


@pytest.mark.parametrize("name", ["../../evil.csv", "/tmp/evil.csv", "acme/evil.csv", "..", ".hidden.csv", ""])
def test_a_file_of_given_records_lies_in_its_drop(server, name):
    before = sorted(server.sandbox.drop.rglob("*"))
    body = {"source": "people_files", "stream": "people", "records": [{"last_name": "X"}], "file": name or "/"}
    answer = requests.post(f"{server.url}/_sandbox/load", json=body, timeout=10).json()
    assert answer["code"] == "CONFIG_INVALID"
    assert sorted(server.sandbox.drop.rglob("*")) == before
