"""A small IMAP server: folders, UIDs, searches and fetches as the protocol says, and misbehaviour that no published server offers."""

from __future__ import annotations

import base64
import re
import socketserver
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from fnmatch import fnmatchcase
from typing import Any

from spine.sandbox.vendor.certificates import authority

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
SECRET = "sesame-of-the-mailbox"  # pragma: allowlist secret


@dataclass
class Mail:
    """One message of a folder."""

    uid: int
    raw: bytes
    received: datetime = START
    flags: tuple[str, ...] = ()
    changed: int = 1


@dataclass
class Box:
    """One folder."""

    validity: int = 1000
    mails: list[Mail] = field(default_factory=list)
    flags: tuple[str, ...] = ("\\HasNoChildren",)

    def add(self, raw: bytes, **words: Any) -> Mail:
        mail = Mail(max((one.uid for one in self.mails), default=0) + 1, raw, **words)
        self.mails.append(mail)
        return mail

    def drop(self, *uids: int) -> None:
        self.mails = [one for one in self.mails if one.uid not in uids]


def written(number: int, text: str = "", **headers: str) -> bytes:
    """A letter as a person sends it."""
    message = EmailMessage()
    said = {
        "From": f"Bob Nó {number} <bob{number}@example.com>", "To": "ann@example.com", "Subject": f"Über {number}",
        "Date": f"Thu, 01 Jan 2026 10:{number % 60:02d}:00 +0000", "Message-ID": f"<{number}@example.com>",
    }  # fmt: skip
    for name, value in {**said, **headers}.items():
        message[name] = value
    message.set_content(text or f"letter {number}")
    return message.as_bytes()


class MailServer:
    """Runs within `with`. `trouble(command, number)` may break the answer to the n-th command: it returns what is sent in place of it."""

    def __init__(self, *, tls: bool = False, condstore: bool = False, methods: tuple[str, ...] = ("PLAIN",)) -> None:
        self.boxes: dict[str, Box] = {"INBOX": Box()}
        self.tls, self.condstore, self.methods = tls, condstore, methods
        self.users = {"ann@example.com": SECRET}
        self.commands: list[str] = []
        self.trouble: Callable[[str, int], bytes | None] = lambda command, number: None
        self.literal: Callable[[Mail, bytes], bytes | None] = lambda mail, body: None
        server = self

        class Handler(socketserver.StreamRequestHandler):
            disable_nagle_algorithm = True

            def setup(self) -> None:
                if server.tls:
                    self.request = authority().context("localhost").wrap_socket(self.request, server_side=True)
                super().setup()

            def handle(self) -> None:
                with suppress(OSError):
                    _Session(server, self).run()

        class Threads(socketserver.ThreadingTCPServer):
            allow_reuse_address, daemon_threads = True, True

            def handle_error(self, request: Any, client_address: Any) -> None:
                """A client that trusts no certificate goes away."""

        self._server = Threads(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]

    @property
    def inbox(self) -> Box:
        return self.boxes["INBOX"]

    def __enter__(self) -> MailServer:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Session:
    """One client."""

    def __init__(self, server: MailServer, handler: socketserver.StreamRequestHandler) -> None:
        self.server, self.file, self.out = server, handler.rfile, handler.wfile
        self.box: Box | None = None
        self.user = ""

    def run(self) -> None:
        self.say(b"* OK here")
        while line := self.file.readline():
            tag, _, rest = line.decode().strip().partition(" ")
            while literal := re.search(r"\{(\d+)\}$", rest):
                self.say(b"+ go on")
                rest = (
                    rest[: literal.start()] + '"' + self.file.read(int(literal[1])).decode() + '"' + self.file.readline().decode().strip()
                )
            self.server.commands.append(rest)
            broken = self.server.trouble(rest, len(self.server.commands) - 1)
            if broken is not None:
                self.out.write(broken)
                return
            word, _, said = rest.partition(" ")
            if word.upper() == "UID":
                word, _, said = said.partition(" ")
            ended = getattr(self, f"do_{word.lower()}", self.unknown)(said)
            self.say(f"{tag} {ended or 'OK done'}".encode())
            if word.upper() == "LOGOUT":
                return

    def say(self, line: bytes) -> None:
        self.out.write(line + b"\r\n")

    def unknown(self, _: str) -> str:
        return "BAD what"

    def do_capability(self, _: str) -> None:
        more = " CONDSTORE" if self.server.condstore else ""
        self.say(f"* CAPABILITY IMAP4rev1 {' '.join(f'AUTH={one}' for one in self.server.methods)}{more}".encode())

    def do_logout(self, _: str) -> None:
        self.say(b"* BYE")

    def do_noop(self, _: str) -> None: ...

    def do_login(self, said: str) -> str:
        user, password = (one.strip('"') for one in said.split(" ", 1))
        return self.enter(user, password)

    def do_authenticate(self, said: str) -> str:
        self.say(b"+ ")
        text = base64.b64decode(self.file.readline()).decode()
        if said.upper() == "PLAIN":
            _, user, password = text.split("\0")
            return self.enter(user, password)
        user = text.split("\1")[0].removeprefix("user=") if said.upper() == "XOAUTH2" else text.split(",")[1].removeprefix("a=")
        ended = self.enter(user, text.partition("auth=Bearer ")[2].partition("\1")[0])
        if not self.user:
            self.say(b"+ " + base64.b64encode(b'{"status":"401"}'))
            self.file.readline()
        return ended

    def enter(self, user: str, password: str) -> str:
        if self.server.users.get(user) != password:
            return "NO [AUTHENTICATIONFAILED] no such user"
        self.user = user
        return "OK welcome"

    def do_list(self, said: str) -> None:
        pattern = said.removeprefix('""').strip().strip('"')
        for name, box in self.server.boxes.items():
            if name == pattern or fnmatchcase(name, pattern.replace("[", "[[]").replace("%", "*")):
                self.say(f'* LIST ({" ".join(box.flags)}) "/" "{name}"'.encode())

    def do_examine(self, said: str) -> str:
        box = self.box = self.server.boxes.get(said.strip('"'))
        if box is None:
            return "NO [NONEXISTENT] no such folder"
        self.say(f"* {len(box.mails)} EXISTS".encode())
        self.say(f"* OK [UIDVALIDITY {box.validity}] ".encode())
        if self.server.condstore:
            self.say(f"* OK [HIGHESTMODSEQ {max((one.changed for one in box.mails), default=1)}] ".encode())
        return "OK [READ-ONLY] done"

    def do_search(self, said: str) -> None:
        assert self.box is not None
        found = self.box.mails
        for word, value in re.findall(r"(SINCE|BEFORE|MODSEQ) (\S+)", said):
            if word == "MODSEQ":
                found = [one for one in found if one.changed >= int(value)]
            else:
                day = datetime.strptime(value, "%d-%b-%Y").date()
                found = [one for one in found if (one.received.date() >= day) is (word == "SINCE")]
        self.say(b"* SEARCH " + " ".join(str(one.uid) for one in found).encode())

    def do_fetch(self, said: str) -> None:
        assert self.box is not None
        sets, _, parts = said.partition(" ")
        wanted = {int(one) for one in sets.split(",")}
        for number, mail in enumerate(self.box.mails, 1):
            if mail.uid in wanted:
                self.out.write(f"* {number} FETCH (UID {mail.uid}".encode() + self.told(mail, parts) + b")\r\n")

    def told(self, mail: Mail, parts: str) -> bytes:
        if "BODY" not in parts:
            received, flags = mail.received.strftime("%d-%b-%Y %H:%M:%S +0000"), " ".join(mail.flags)
            return f' RFC822.SIZE {len(mail.raw)} INTERNALDATE "{received}" FLAGS ({flags})'.encode()
        headers = "HEADER" in parts
        body = mail.raw.partition(b"\n\n")[0] + b"\n\n" if headers else mail.raw
        given = self.server.literal(mail, body)
        told = given if given is not None else b"{%d}\r\n" % len(body) + body
        return b" BODY[HEADER] " + told if headers else b" BODY[] " + told
