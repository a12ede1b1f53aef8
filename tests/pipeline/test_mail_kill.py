"""A mailbox whose worker is killed (SIGKILL) behind each commit, also where a folder was made anew: Bronze is as undisturbed."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest

from spine.core import clock
from tests.pipeline.killing import Process
from tests.sources.imap.mailserver import SECRET, Box, MailServer, written

pytestmark = [pytest.mark.postgres, pytest.mark.slow]


def test_a_mailbox_killed_behind_each_commit_ends_as_the_undisturbed_run(run_program, database, lake, tmp_path):
    with MailServer() as mail:
        mail.boxes["Work"] = Box(validity=7)
        for number in range(60):
            (mail.inbox if number % 2 else mail.boxes["Work"]).add(written(number), received=clock.now() - timedelta(days=number))
        account = {
            "host": "127.0.0.1", "port": mail.port, "login": "ann@example.com", "password": SECRET,
            "extra": {"tls": "false", "folders": "INBOX,Work"},
        }  # fmt: skip
        small = {"SPINE_FLUSH_BYTES": "1", "SYNC_BATCH_SIZE": "10"}
        calm, rough = (Process(run_program, database, tmp_path / name, "email.messages", account, **small) for name in ("calm", "rough"))
        assert calm.run("r1") == 0
        kills = rough.killed("r1")
        assert kills >= 6
        mail.inbox.validity += 1
        mail.inbox.drop(1, 2)
        mail.boxes["Work"].drop(3)
        mail.boxes["Work"].add(written(99))
        assert calm.run("r2") == 0
        kills += rough.killed("r2")
    told = Counter((row[1], row[4]) for row in calm.rows())
    assert told == {("upsert", "r1"): 60, ("upsert", "r2"): 29, ("delete", "r2"): 31}
    assert _but_when(rough) == _but_when(calm)
    assert kills >= 12
    assert SECRET not in calm.state()
    assert SECRET not in str(calm.rows())


def _but_when(process: Process) -> Counter[tuple[str, ...]]:
    """What Bronze has, without the moment at which a delete was seen: that of the run's plan."""
    return Counter((record, op, "" if op == "delete" else cursor, payload, run) for record, op, cursor, payload, run in process.rows())
