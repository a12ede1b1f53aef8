"""The declared source of a mailbox, through the pipeline: tested, logged in to with a token, read, and told when a folder was made anew."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from spine.control.airflow_state import ConnectionInfo
from spine.control.variables import MemoryVariables
from spine.core import clock
from spine.core.errors import AuthFailed
from spine.core.names import connection_id
from spine.pipeline.probe import probe
from spine.pipeline.services import Services
from tests.pipeline.conftest import Spine
from tests.sources.imap.mailserver import SECRET, MailServer, written

PROVES = "a server of ours"
pytestmark = pytest.mark.postgres


@pytest.fixture
def mail() -> Iterator[MailServer]:
    with MailServer(methods=("XOAUTH2",)) as server:
        for number in range(30):
            server.inbox.add(written(number), received=clock.now())
        yield server


def spine_of(mail: MailServer, database: Any, lake: str, **extra: Any) -> Spine:
    tenant = f"t{uuid4().hex[:10]}"
    said = {"tls": "false", "auth": "google", "mailbox": "ann@example.com", "access_token": SECRET, **extra}
    info = ConnectionInfo(connection_id("email", tenant), "spine", "127.0.0.1", mail.port, "", "client", "secret-of-the-client", extra=said)
    return Spine(None, Services(database, MemoryVariables(), {info.conn_id: info}.__getitem__), lake, [tenant])  # type: ignore[arg-type]


def test_a_mailbox_is_read_with_a_token(mail, database, lake, home, caplog):
    spine = spine_of(mail, database, lake)
    assert probe("email", spine.tenants[0], spine.services, "test").error is None
    assert spine.sync("email", "r1")[0]["rows"] == 30
    mail.inbox.validity += 1
    (second,) = spine.sync("email", "r2")
    assert (second["rows"], second["deletes"]) == (60, 30)
    assert any("another UIDVALIDITY" in note for note in second["notes"])
    assert spine.sync("email", "r3")[0]["rows"] == 0
    assert SECRET not in caplog.text


def test_a_token_that_is_refused_pauses_the_connection(mail, database, lake, home):
    mail.users = {}
    spine = spine_of(mail, database, lake)
    with pytest.raises(AuthFailed):
        spine.sync("email", "r1")
