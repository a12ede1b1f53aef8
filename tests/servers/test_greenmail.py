"""A mailbox of GreenMail, a published mail server: letters as libraries send them, changes, deletes, refused logins."""

from __future__ import annotations

import imaplib
import smtplib
from collections.abc import Iterator
from email.message import EmailMessage
from typing import Any

import pytest

from spine.core.errors import AuthFailed, DeleteSweepRefused
from tests.servers.conftest import free_ports, started, stopped

PROVES = "GreenMail, a mail server by others"
ALICE = {"login": "alice@example.test", "password": "secret"}  # pragma: allowlist secret


@pytest.fixture(scope="module")
def greenmail() -> Iterator[int]:
    port, process = started("start_greenmail.sh", str(free_ports(3)))
    yield port
    stopped(process)


def sent(port: int, count: int) -> None:
    """Letters with an attachment that has no name, by SMTP."""
    with smtplib.SMTP("127.0.0.1", port + 1) as mail:
        for number in range(count):
            letter = EmailMessage()
            letter["From"], letter["To"], letter["Subject"] = "Bob <bob@example.test>", "alice@example.test", f"Größe {number}"
            letter["Message-ID"] = f"<{number}@example.test>"
            letter.set_content(f"Letter {number}")
            letter.add_attachment(b"%PDF", maintype="application", subtype="pdf")
            mail.send_message(letter)


def test_a_mailbox_is_read_and_followed(reading: Any, greenmail: int) -> None:
    sent(greenmail, 30)
    account = {**ALICE, "port": greenmail, "extra": {"tls": "false", "folders": "*"}}
    email = reading("email", "127.0.0.1", **account)
    with imaplib.IMAP4("127.0.0.1", greenmail) as own:
        own.login(*ALICE.values())
        own.create('"Kunden &- mehr"')
        own.append('"Kunden &- mehr"', "", None, b"Content-Type: multipart/mixed; boundary=\r\nFrom: x\r\n\r\n--\r\nbroken\xff\r\n")  # type: ignore[arg-type]
        assert email.sync("messages")["messages"]["rows"] == 31
        letters = {record["subject"]: record for record in email.records("messages")}
        assert letters["Größe 7"]["attachments"][0] | {"sha256": ""} == {
            "name": None, "type": "application/pdf", "size": 4, "sha256": "", "inline": False
        }  # fmt: skip
        assert letters["Größe 7"]["from"] == {"name": "Bob", "email": "bob@example.test"}
        assert letters[None]["folder"] == "Kunden & mehr"
        own.select("INBOX")
        assert own.search(None, "UNSEEN")[1][0].count(b" ") == 29, "reading has marked something as read"
        own.store("1:3", "+FLAGS", "\\Deleted")
        own.expunge()
        sent(greenmail, 2)
        second = email.sync("messages")["messages"]
        assert (second["rows"], second["deletes"]) == (5, 3)
        assert email.sync("messages")["messages"]["rows"] == 0
        own.store("1:20", "+FLAGS", "\\Deleted")
        own.expunge()
        with pytest.raises(DeleteSweepRefused):
            email.sync("messages")


def test_a_wrong_password_is_refused(reading: Any, greenmail: int) -> None:
    email = reading("email", "127.0.0.1", port=greenmail, login="alice@example.test", password="wrong", extra={"tls": "false"})
    with pytest.raises(AuthFailed):
        email.sync("messages")
