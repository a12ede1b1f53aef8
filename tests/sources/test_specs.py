"""What must hold for every declared source; a new one is checked by being there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from spine.core.entities import load_entity
from spine.sources.loader import reader_for
from spine.sources.reading import State, Window
from spine.sources.spec import TIER_SCHEDULE, load_source, source_names

NAMES = source_names()
STREAMS = [(name, stream.name) for name in NAMES for stream in load_source(name).streams]


@pytest.mark.parametrize("name", NAMES)
def test_a_source_is_complete(name):
    source = load_source(name)
    assert source.source == name
    assert source.description
    assert len(source.cron.split()) == 5
    assert source.tier in TIER_SCHEDULE
    assert source.timeouts.connect <= 30
    assert source.timeouts.read <= 60


@pytest.mark.parametrize(("name", "stream_name"), STREAMS)
def test_a_stream_fits_its_entity_and_itself(name, stream_name):
    stream = load_source(name).stream(stream_name)
    entity = load_entity(stream.entity)
    assert set(stream.mapping.fields) <= set(entity.fields)
    assert {rule for rule, field in entity.fields.items() if field.required} <= set(stream.mapping.fields)
    assert stream.cursor is not None
    assert stream.cursor.field in stream.fields
    assert timedelta() <= stream.cursor.lookback <= timedelta(hours=1)
    known = {*stream.fields, *stream.key}
    assert {path.removeprefix("properties.") for path in stream.required_fields} <= known


@pytest.mark.parametrize(("name", "stream_name"), [pair for pair in STREAMS if load_source(pair[0]).kind != "files"])
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
        return Client(sandbox.url, Transport(allow_private=True), Bearer(Credentials(sandbox.url, password=token)))

    return make
