"""The mock CRM of the sandbox, whose pages a class of the source's own turns."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import orjson
import pytest
import requests

from spine.core.errors import AuthFailed
from spine.http.auth import Account, Credentials
from spine.http.client import Client
from spine.http.transport import Transport
from spine.sandbox.crm import COUNTS, KEY
from spine.sandbox.server import SandboxServer
from spine.sources.loader import reader_for
from spine.sources.reading import State, Window
from spine.sources.spec import load_source

SOURCE = load_source("mock_crm")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with SandboxServer({"default": 20}) as server:
        yield f"{server.url}/mock_crm/v1"


def reader(url, key=KEY):
    transport = Transport()
    signer = SOURCE.auth.signer(Account(Credentials(url, password=key), None, transport.send))  # type: ignore[arg-type]  # it keeps no token
    return reader_for(SOURCE, client=Client(url, transport, signer))


def ids(pages):
    return [record.record_id for page in pages for record in page.records]


@pytest.mark.parametrize("stream", COUNTS)
def test_pages_are_turned_to_the_end_and_reading_goes_on_from_each(url, resume, stream):
    declared = SOURCE.stream(stream)
    whole = ids(reader(url).read(declared, State(), Window(full=True)))
    assert len(set(whole)) == len(whole) == COUNTS[stream]
    assert ids(resume(reader(url), declared, Window(full=True))) == whole


def test_only_what_has_changed_is_asked_for_and_what_is_removed_is_a_delete(url):
    later = {"changed": "2026-06-01T00:00:00Z"}
    for said in ({"ref": "C00003", "state": "removed"}, {"ref": "C99999", "who": {"full": "New One", "mail": "n@one.example"}}):
        assert requests.post(f"{url}/contacts", json={**said, **later}, timeout=20).ok
    (page,) = reader(url).read(SOURCE.stream("contacts"), State(), Window(datetime(2026, 5, 1, tzinfo=UTC)))
    assert {(record.record_id, record.op) for record in page.records} == {("C00003", "delete"), ("C99999", "upsert")}
    assert orjson.loads(page.records[0].payload)["changed"] == "2026-06-01T00:00:00Z"


def test_a_wrong_key_is_refused(url):
    with pytest.raises(AuthFailed):
        list(reader(url, "nobody").read(SOURCE.stream("contacts"), State(), Window(full=True)))
