"""Mailboxes are read in the order of their UIDs from any message on: what is new, what has changed, and what is gone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import orjson
import pytest

from spine.core.errors import AuthFailed, ConfigError, DeleteSweepRefused, SchemaMismatch, SourceRejected, SourceUnavailable
from spine.sources import imap
from spine.sources.access import Access, Times
from spine.sources.check import mistakes_of
from spine.sources.imap import server as asking
from spine.sources.reading import MALFORMED, Page, State, Window
from spine.sources.spec import Source
from tests.sources.imap.mailserver import SECRET, START, Box, MailServer, written

FULL = Window(full=True)
KEY = ["folder", "uidvalidity", "uid"]


@pytest.fixture
def mail() -> Iterator[MailServer]:
    """A mailbox with 25 letters, a day after each other."""
    with MailServer() as server:
        for number in range(25):
            server.inbox.add(written(number), received=START + timedelta(days=number))
        yield server


def source_with(**stream: Any) -> Source:
    said = {"name": "messages", "key": KEY, "cursor": {"field": "received_at"}, "paging": {"size": 10}, "deletes": {"detect": "sweep"}}
    return Source(source="mail", label="Mail", domain="revops", kind="imap", auth={"type": "database"}, streams=[{**said, **stream}])


def access(mail: MailServer, **words: Any) -> Access:
    said = {"user": "ann@example.com", "password": SECRET, "extra": {"tls": "false"}, "times": Times(5, 5, 60)}
    return Access("127.0.0.1", mail.port, **{**said, **words})


def read(
    mail: MailServer, state: State | None = None, window: Window = FULL, *, account: Access | None = None, **stream: Any
) -> list[Page]:
    source = source_with(**stream)
    return list(imap.Reader(source, account or access(mail)).read(source.streams[0], state or State(), window))


def uids(pages: list[Page], op: str = "upsert") -> list[int]:
    return [int(record.record_id.rpartition("|")[2]) for page in pages for record in page.records if record.op == op]


def said(pages: list[Page]) -> list[Any]:
    return [orjson.loads(record.payload) for page in pages for record in page.records]


def then(mail: MailServer, before: list[Page], **stream: Any) -> list[Page]:
    """What the next run reads."""
    return read(mail, State(cursor=before[-1].high_water), Window(end=START + timedelta(days=90)), **stream)


def test_a_folder_is_read_from_any_message_on(mail):
    pages = read(mail)
    assert [len(page.records) for page in pages] == [10, 10, 5, 0]
    assert uids(pages) == list(range(1, 26))
    for number, page in enumerate(pages[:-1]):
        assert uids(read(mail, State(None, page.next_token))) == list(range(10 * (number + 1) + 1, 26))
    assert pages[-1].next_token is None
    assert not any("STORE" in one or "SELECT" in one or "BODY[" in one for one in mail.commands), "something is marked as read"


def test_a_letter_is_told_with_all_that_it_says(mail):
    (letter,) = said(read(mail))[3:4]
    assert letter["from"] == {"name": "Bob Nó 3", "email": "bob3@example.com"}
    assert (letter["subject"], letter["text"], letter["recipient"]) == ("Über 3", "letter 3\n", "ann@example.com")
    assert (letter["sent_at"], letter["received_at"]) == ("2026-01-01T10:03:00.000000Z", "2026-01-04T12:00:00.000000Z")
    mail.inbox.add(written(99, Date="Fri, 01 Jan 2190 00:00:00 +0000"), received=START)
    assert said(read(mail))[-1]["sent_at"] == "2026-01-01T12:00:00.000000Z", "a sender's clock that is ahead is not believed"


def test_the_next_run_reads_what_is_new_and_tells_what_is_gone(mail):
    first = read(mail)
    mail.inbox.add(written(30), received=START - timedelta(days=900))
    mail.inbox.drop(2, 3)
    second = then(mail, first)
    assert (uids(second), uids(second, "delete")) == ([26], [2, 3])
    assert {record.cursor for page in second for record in page.records if record.op == "delete"} == {"2026-04-01T12:00:00.000000Z"}
    assert uids(then(mail, second)) == uids(then(mail, second), "delete") == []


def test_too_many_that_are_gone_are_not_believed(mail):
    first = read(mail)
    mail.inbox.drop(*range(1, 20))
    with pytest.raises(DeleteSweepRefused, match="19 of 25"):
        then(mail, first)
    assert uids(then(mail, first, deletes={"detect": "sweep", "max_share": 0.9}), "delete") == list(range(1, 20))
    assert uids(then(mail, first, deletes={})) == []
    mail.boxes = {"Other": Box()}
    with pytest.raises(DeleteSweepRefused, match="25 of 25"):
        then(mail, first, object="*")


def test_another_uidvalidity_reads_the_folder_anew_and_says_so(mail):
    first = read(mail)
    mail.inbox.validity = 2000
    mail.inbox.drop(25)
    second = then(mail, first)
    assert any("another UIDVALIDITY than before (1000, now 2000)" in note for page in second for note in page.notes)
    assert uids(second) == list(range(1, 25))
    gone = [record.record_id for page in second for record in page.records if record.op == "delete"]
    assert gone == [f"INBOX|1000|{uid}" for uid in range(1, 26)]
    for page in second[:-1]:  # whatever page was the last that was committed
        rest = read(mail, State(first[-1].high_water, page.next_token), Window(end=START + timedelta(days=90)))
        assert [r.record_id for p in rest for r in p.records] == [r.record_id for p in second[second.index(page) + 1 :] for r in p.records]
    mail.inbox.validity = 3000
    mail.inbox.drop(*range(1, 13))
    with pytest.raises(DeleteSweepRefused):
        then(mail, second)


def test_flags_that_change_bring_the_message_again_where_the_server_counts_changes():
    with MailServer(condstore=True) as mail:
        for number in range(25):
            mail.inbox.add(written(number))
        first = read(mail)
        for one in mail.inbox.mails[2:15]:
            one.flags, one.changed = ("\\Seen", "$Later"), 7
        second = then(mail, first)
        assert uids(second) == list(range(3, 16))
        assert (said(second)[0]["seen"], said(second)[0]["flags"]) == (True, ["$Later", "\\Seen"])
        mail.inbox.mails[3].changed = 8  # after the first page of them was committed
        rest = read(mail, State(first[-1].high_water, second[0].next_token), Window())
        assert uids(rest) == [13, 14, 15]
        assert uids(then(mail, rest)) == [4]


def test_folders_are_those_of_patterns_without_doubles_and_bins(mail):
    mail.boxes |= {
        "Work/Bills": Box(mails=[*mail.inbox.mails[:2]]), "Bin": Box(mails=[*mail.inbox.mails[:1]], flags=("\\Trash",)),
        "Top": Box(flags=("\\Noselect",)), "[Gmail]/All Mail": Box(mails=mail.inbox.mails, flags=("\\All",)),
    }  # fmt: skip
    assert {one["folder"] for one in said(read(mail, object="*"))} == {"INBOX", "Work/Bills"}
    assert {one["folder"] for one in said(read(mail, object="Work/*, Bin"))} == {"Work/Bills", "Bin"}
    assert len(said(read(mail, object="[Gmail]/All Mail"))) == 25
    account = access(mail, values={"folders": ["Bin"]})
    assert len(said(read(mail, object="{folders}", account=account))) == 1
    with pytest.raises(SchemaMismatch, match="no folder Nowhere"):
        read(mail, object="Nowhere")
    with pytest.raises(ConfigError, match="has no folders"):
        read(mail, object="{folders}")


def test_a_first_read_begins_where_the_file_says_and_stays_there(mail):
    first = read(mail, window=Window(end=START + timedelta(days=24)), cursor={"field": "received_at", "start": "5d"})
    assert min(uids(first)) == 19, "a day before, since a server's days are of its own zone"
    mail.inbox.add(written(40), received=START + timedelta(days=20))
    mail.inbox.add(written(41), received=START - timedelta(days=20))
    assert uids(then(mail, first, cursor={"field": "received_at", "start": "5d"})) == [26]


def test_a_backfill_reads_its_interval_alone(mail):
    window = Window(start=START + timedelta(days=3), end=START + timedelta(days=5), backfill=True)
    assert uids(read(mail, State(cursor=read(mail)[-1].high_water), window)) == [4, 5]


def test_a_full_run_forgets_nothing_that_was_known(mail):
    first = read(mail)
    mail.inbox.drop(7)
    again = read(mail, State(cursor=first[-1].high_water))
    assert (len(uids(again)), uids(again, "delete")) == (24, [7])
    mail.inbox.drop(*range(10, 20))
    for number in range(60, 80):
        mail.inbox.add(written(number))
    with pytest.raises(DeleteSweepRefused):
        read(mail, State(cursor=again[-1].high_water))


def test_fields_without_a_body_are_read_from_the_headers_alone(mail):
    letters = said(read(mail, fields=[*KEY, "received_at", "from", "subject"]))
    assert set(letters[0]) == {*KEY, "received_at", "from", "subject"}
    assert not any("BODY.PEEK[]" in one for one in mail.commands)


def test_a_message_that_is_too_large_is_told_by_its_headers(mail, monkeypatch):
    monkeypatch.setattr("spine.sources.imap.reader.LARGEST", 5000)
    mail.inbox.add(written(50, "x" * 9000))
    letter = said(read(mail))[-1]
    assert (letter["subject"], letter["text"], letter["text_cut"], letter["attachments"]) == ("Über 50", None, True, None)


def test_a_message_that_breaks_the_answer_costs_itself_alone(mail):
    for name, broken in {
        "a wrong length": lambda body: b"{5}\r\n" + body, "too long a length": lambda body: b"{99999999999}\r\n",
        "none": lambda body: b"NIL", "half a list": lambda body: b"(",
    }.items():  # fmt: skip
        mail.literal = lambda letter, body, broken=broken: broken(body) if letter.uid == 8 else None
        pages = read(mail)
        records = [record for page in pages for record in page.records]
        assert sorted(uids(pages)) == list(range(1, 26)), name
        assert [record.record_id for record in records if record.fingerprint == MALFORMED] == ["INBOX|1000|8"], name


def test_sizes_that_a_server_tells_are_not_believed(mail, monkeypatch):
    """25 messages that are said to be small are asked for at once, and are larger together than may be held in memory."""
    monkeypatch.setattr("spine.sources.imap.line._LONGEST", 20_000)
    monkeypatch.setattr("spine.sources.imap.server.LARGEST", 20_000)
    monkeypatch.setattr("spine.sources.imap.server._SLACK", 0)
    long = written(1, "x" * 15_000)
    mail.literal = lambda letter, body: b"{%d}\r\n" % len(long) + long
    held: list[int] = []
    asked = asking.Server._asked

    def watched(server, ask, what="the mailbox"):
        found = asked(server, ask, what)
        told = [one for one in found.values() if isinstance(one, dict)] if isinstance(found, dict) else []
        held.append(sum(len(one.get(b"BODY[]") or b"") for one in told))
        return found

    monkeypatch.setattr(asking.Server, "_asked", watched)
    assert uids(read(mail)) == list(range(1, 26))
    assert max(held) <= 40_000


def test_a_letter_that_nothing_can_read_costs_itself_alone(mail, monkeypatch):
    told = imap.reader.described
    monkeypatch.setattr(imap.reader, "described", lambda raw, whole: 1 / 0 if b"letter 7\n" in raw else told(raw, whole=whole))
    records = [record for page in read(mail) for record in page.records]
    assert [record.record_id for record in records if record.fingerprint == MALFORMED] == ["INBOX|1000|8"]


def test_a_connection_that_is_lost_is_made_again(mail):
    mail.trouble = lambda command, number: b"" if command.startswith("UID FETCH") and number == 6 else None
    assert uids(read(mail)) == list(range(1, 26))
    mail.trouble = lambda command, number: b"" if command.startswith("UID FETCH 1,") or ("EXAMINE" in command and number > 8) else None
    with pytest.raises(SourceUnavailable):
        read(mail)


@pytest.mark.parametrize(
    ("broken", "error"),
    [
        (b"* BYE we are closed\r\n", SourceUnavailable), (b"HTTP/1.1 400 Bad Request\r\n\r\n<html>", SourceUnavailable),
        (b"\xff\x00" * 5000, SourceUnavailable), (b"* SEARCH one two\r\nA OK\r\n", SourceUnavailable),
    ],
)  # fmt: skip
def test_nonsense_is_an_error_of_ours(mail, broken, error):
    mail.trouble = lambda command, number: broken if "SEARCH" in command or broken.startswith(b"HTTP") else None
    with pytest.raises(error):
        read(mail)


def test_a_server_that_is_silent_is_not_waited_for(mail):
    def drip(command: str, number: int) -> bytes | None:
        if "SEARCH" in command:
            time.sleep(1.5)
        return None

    mail.trouble = drip
    with pytest.raises(SourceUnavailable, match="TimeoutError"):
        read(mail, account=access(mail, times=Times(1, 1, 60)))


def test_who_is_refused_is_told_and_no_secret_with_it(mail):
    with pytest.raises(AuthFailed) as refused:
        read(mail, account=access(mail, password="another-secret"))
    assert "another-secret" not in str(refused.value)
    mail.trouble = lambda command, number: b"A NO [UNAVAILABLE] later\r\n" if command.startswith("LOGIN") else None
    with pytest.raises(SourceUnavailable):
        read(mail)


@pytest.mark.parametrize("method", ["OAUTHBEARER", "XOAUTH2"])
def test_a_token_logs_in_and_another_one_is_asked_for_after_a_refusal(method):
    with MailServer(methods=(method,)) as mail:
        mail.inbox.add(written(1))
        asked: list[bool] = []
        account = access(mail, bearer=lambda anew: (asked.append(anew), SECRET if anew else "old")[1])
        assert len(uids(read(mail, account=account))) == 1
        assert asked == [False, True]
        with pytest.raises(AuthFailed):
            read(mail, account=access(mail, bearer=lambda anew: "never"))


def test_tls_is_the_rule_and_a_certificate_has_to_be_of_the_host(monkeypatch):
    from spine.sandbox.vendor.certificates import authority

    with MailServer(tls=True) as mail:
        mail.inbox.add(written(1))
        account = Access("localhost", mail.port, "", "ann@example.com", SECRET, times=Times(5, 5, 60))
        with pytest.raises(SourceRejected, match="certificate"):
            read(mail, account=account)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority().bundle))
        assert len(uids(read(mail, account=account))) == 1
        with pytest.raises(SourceRejected, match="certificate"):
            read(mail, account=Access("127.0.0.1", mail.port, "", "ann@example.com", SECRET, times=Times(5, 5, 60)))
    monkeypatch.setattr(asking, "in_clear", lambda address: False)
    with pytest.raises(ConfigError, match="travel in clear"), MailServer() as mail:
        read(mail)


def test_what_is_wrong_with_a_file_is_told():
    wrong = source_with(key=["message_id"], cursor={"field": "date"}, fields=["date"])
    told = " ".join(why for _, why in mistakes_of(wrong))
    assert "known by folder, uid, uidvalidity alone" in told
    assert "message_id is missing" in told
    assert "ordered by `received_at`" in told
    bare = source_with().model_copy(update={"auth": Source.model_fields["auth"].default})
    assert [place for place, _ in mistakes_of(bare)] == [("auth",)]
    with pytest.raises(ConfigError, match="no list of folders"):
        imap.reader.Known.parse('{"folders": []}')
