"""What must hold for every declared source; a new one is checked by being there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from spine.sources.check import sound_source
from spine.sources.loader import reader_for
from spine.sources.reading import State, Window
from spine.sources.spec import TIER_SCHEDULE, load_source, source_names

NAMES = source_names()
# Sources that the sandbox plays; a source of one's own has its vendor elsewhere.
PLAYED = [
    (name, stream.name) for name in ("salesforce", "hubspot") for stream in load_source(name).streams
    if stream.name not in ("objects", "object", "schemas")  # those that are found, and what tells which there are
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_source_is_sound(name):
    source = sound_source(name)
    assert source.source == name
    assert source.cron == source.schedule or source.cron == TIER_SCHEDULE[source.tier]


@pytest.mark.parametrize(("name", "stream_name"), [("people_files", "people"), *PLAYED])
def test_our_streams_tell_what_has_changed(name, stream_name):
    source = load_source(name)
    stream = source.stream(stream_name)
    assert source.description
    assert source.timeouts.connect <= 30
    assert source.timeouts.read <= 60
    assert stream.cursor is not None
    assert timedelta() <= stream.cursor.lookback <= timedelta(hours=1)


@pytest.mark.parametrize(("name", "stream_name"), PLAYED)
def test_reading_resumes_from_every_page_and_gives_each_record_once(name, stream_name, connector, resume):
    source = load_source(name)
    stream = source.stream(stream_name)
    small = stream.model_copy(update={"paging": stream.paging.model_copy(update={"size": 200 if name == "salesforce" else 50})})
    window = Window(full=True, end=datetime(2100, 1, 1, tzinfo=UTC))
    reader = reader_for(source, client=connector(name))
    straight = [record for page in reader.read(small, State(), window) for record in page.records]
    resumed = [record for page in resume(reader_for(source, client=connector(name)), small, window) for record in page.records]
    assert straight == resumed
    assert len({record.record_id for record in straight}) == len(straight) > 0
    assert all(record.cursor and record.payload for record in straight)


@pytest.fixture(scope="module")
def sandbox():
    from spine.sandbox.server import SandboxServer

    with SandboxServer({"default": 700}) as server:
        yield server


@pytest.fixture
def connector(sandbox):
    """A signed client of the sandbox for a source."""
    from spine.http.auth import Credentials
    from spine.http.auth.bearer import Bearer
    from spine.http.client import Client
    from spine.http.transport import Transport
    from spine.sandbox.accounts import credentials

    def make(name: str) -> Client:
        secret = credentials("default")
        token = secret.hubspot_token
        if name == "salesforce":
            grant = {"grant_type": "client_credentials", "client_id": secret.client_id, "client_secret": secret.client_secret}
            token = sandbox.sandbox.tokens.grant(grant)[1]
        return Client(sandbox.url, Transport(), Bearer(Credentials(sandbox.url, password=token)))

    return make
