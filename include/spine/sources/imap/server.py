"""What is asked of an IMAP server: its folders, the UIDs of one, what is known of messages, and the messages themselves."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from types import TracebackType
from typing import Any, TypeVar

import numpy as np

from spine.core.errors import AuthFailed, ConfigError, ConnectorError, SchemaMismatch, SourceRejected, SourceUnavailable, SpineError
from spine.core.foreign import told
from spine.sources.access import Access, addresses_of, in_clear
from spine.sources.imap.folders import NONE, Numbers

T = TypeVar("T")
LARGEST = 50_000_000  # bytes of a message that is read whole; mail services take 20 to 35 MB
_SLACK = 1_000_000  # by which a message may be longer than its server says
_PORTS = {"true": 993, "starttls": 143, "false": 143}
# Folders by their use (RFC 6154), which a pattern does not mean: they hold what is in others too, or what nobody has sent.
_LEFT_OUT = {b"\\all", b"\\flagged", b"\\junk", b"\\trash", b"\\drafts", b"\\important"}
_NO_FOLDER = {b"\\noselect", b"\\nonexistent"}
_LATER = ("[UNAVAILABLE]", "[INUSE]", "[LIMIT]", "[SERVERBUG]", "[CONTACTADMIN]")  # RFC 5530: it is not the password


@dataclass(frozen=True)
class Opened:
    """A folder that was opened: its UIDVALIDITY, and the latest change of flags where the server counts them (RFC 7162)."""

    validity: int
    changed: int | None


@dataclass(frozen=True)
class Message:
    """What the server says of a message, and its bytes: all of them, or (not `whole`) those of its headers. None: it gives none."""

    uid: int
    size: int
    received: datetime | None
    flags: tuple[str, ...]
    raw: bytes | None = None
    whole: bool = True


class Server:
    """One connection, open within `with`; folders are examined, so that nothing changes there."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._client: Any = None
        self._folder: tuple[str, int] | None = None

    def __enter__(self) -> Server:
        self._connect()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._close()

    def folders(self, patterns: Sequence[str]) -> list[str]:
        """The folders that patterns name, `*` for all letters and `%` for all but the delimiter. Raises SchemaMismatch for none."""
        found: dict[str, None] = {}
        for pattern in patterns:
            some = any(mark in pattern for mark in "*%")
            for flags, _, name in self._asked(partial(_listed, pattern)):
                marks = {flag.lower() for flag in flags if isinstance(flag, bytes)}
                if not marks & _NO_FOLDER and not (some and marks & _LEFT_OUT):
                    found[str(name)] = None
        if not found:
            raise SchemaMismatch(f"there is no folder {' or '.join(patterns)}", hint="Correct `object` of the stream, or its variable")
        return sorted(found)

    def examine(self, folder: str) -> Opened:
        """Open a folder to be read. Raises SourceRejected if that is not allowed."""
        self._folder = None
        said = self._asked(lambda client: client.select_folder(folder, readonly=True), what=f"folder {folder}")
        validity, changed = said.get(b"UIDVALIDITY"), said.get(b"HIGHESTMODSEQ")
        changed = changed[0] if isinstance(changed, tuple | list) and changed else changed
        opened = Opened(int(validity or 0), changed if isinstance(changed, int) and changed > 0 else None)
        self._folder = (folder, opened.validity)
        return opened

    def uids(self, since: datetime | None = None, before: datetime | None = None, changed: int | None = None) -> Numbers:
        """The UIDs of the folder, in order: of messages that came on these days (RFC 3501 knows no hours), or whose flags have changed."""
        asked: list[Any] = [*_day("SINCE", since), *_day("BEFORE", before), *(["MODSEQ", changed] if changed is not None else [])]
        found = self._asked(lambda client: client.search(asked or ["ALL"]))
        return np.unique(np.array(found, np.int64)) if len(found) else NONE

    def told(self, uids: Sequence[int]) -> Iterator[Message]:
        """What the server says of messages, without them; of those that are gone nothing."""
        found = self._each(uids, ["RFC822.SIZE", "INTERNALDATE", "FLAGS"])
        for uid in uids:
            if (said := found.get(uid)) is not None:
                flags = tuple(sorted({_flag(flag) for flag in said.get(b"FLAGS") or ()} - {"\\Recent"}))  # which is of the session
                yield Message(uid, int(said.get(b"RFC822.SIZE") or 0), said.get(b"INTERNALDATE"), flags)

    def bodies(self, uids: Sequence[int], *, whole: bool) -> dict[int, bytes]:
        """The bytes of messages, or of their headers; those that the server cannot give are left out."""
        part = "BODY.PEEK[]" if whole else "BODY.PEEK[HEADER]"
        names = (b"BODY[]", b"RFC822") if whole else (b"BODY[HEADER]", b"RFC822.HEADER")
        found = self._each(uids, [part])
        bodies = {uid: next((said[name] for name in names if said.get(name) is not None), None) for uid, said in found.items()}
        return {uid: body if isinstance(body, bytes) else str(body).encode() for uid, body in bodies.items() if body is not None}

    def _each(self, uids: Sequence[int], parts: list[str]) -> dict[int, dict[bytes, Any]]:
        """What is told of messages. Where one of them breaks the answer, the others are asked for without it."""
        if not uids:
            return {}
        try:
            return dict(self._asked(lambda client: client.fetch(list(uids), parts)))
        except (SourceUnavailable, SourceRejected):
            if self._folder is None:
                raise
            self._again()
        if len(uids) == 1:
            with suppress(SourceRejected):  # it is this message: the server is there
                try:
                    return dict(self._asked(lambda client: client.fetch(list(uids), parts)))
                except SourceUnavailable:
                    self._again()
            return {}
        middle = len(uids) // 2
        return self._each(uids[:middle], parts) | self._each(uids[middle:], parts)

    def _again(self) -> None:
        """A connection of which nothing is left to be read, in the folder as it was. Raises SourceUnavailable."""
        folder, validity = self._folder or ("", 0)
        self._close()
        self._connect()
        if self.examine(folder).validity != validity:
            raise SourceUnavailable(f"folder {folder} was made anew while it was read", hint="The next attempt reads it anew")

    def _connect(self) -> None:
        access, tls = self._access, self._access.word("tls", "true", ("true", "starttls", "false")).lower()
        port = access.port or _PORTS[tls]
        if tls == "false" and not all(in_clear(address) for address in addresses_of(access.host, port)):
            raise ConfigError("`tls: false` would let the password travel in clear", hint="Write true or starttls")

        def opened() -> Any:
            from spine.sources.imap.line import Client

            self._client = Client(access, port, tls, LARGEST + _SLACK)
            return self._login()

        _ours(opened, f"{access.host}:{port}")

    def _login(self) -> None:
        client, access = self._client, self._access
        can = set(client.capabilities())
        if access.bearer is None:
            plain = b"AUTH=PLAIN" in can and (b"LOGINDISABLED" in can or not (access.user + access.password).isascii())
            (client.plain_login if plain else client.login)(access.user, access.password)
            return
        for anew in (False, True):
            token = access.bearer(anew)
            try:
                if b"AUTH=OAUTHBEARER" in can:
                    client.oauthbearer_login(access.user, token)
                else:
                    client.oauth2_login(access.user, token)
                return
            except client.Error:
                if anew:
                    raise
                client.anew()

    def _asked(self, ask: Callable[[Any], T], what: str = "the mailbox") -> T:
        client = self._client
        client.anew()
        return _ours(lambda: ask(client), what)

    def _close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with suppress(Exception):  # one that failed cannot be asked to end well
                client.shutdown()


def _listed(pattern: str, client: Any) -> Any:
    return client.list_folders("", pattern)


def _day(word: str, moment: datetime | None) -> list[Any]:
    return [] if moment is None else [word, date(moment.year, moment.month, moment.day)]


def _flag(flag: Any) -> str:
    return flag.decode(errors="replace") if isinstance(flag, bytes) else str(flag)


def _ours(ask: Callable[[], T], what: str) -> T:
    """What is answered. Raises errors of the connection and of the protocol as ours, without their text: it may quote a message."""
    with _translated(what):
        return ask()


@contextmanager
def _translated(what: str) -> Iterator[None]:
    from imapclient import exceptions

    try:
        yield
    except SpineError:
        raise
    except exceptions.LoginError as error:
        raise _refused(str(error)) from None
    except (exceptions.IMAPClientAbortError, exceptions.ProtocolError) as error:
        raise SourceUnavailable(f"{what} could not be read: {told(error)}", hint="If it stays so, look at the server") from None
    except exceptions.CapabilityError:
        raise SourceRejected("the server offers no STARTTLS", hint="Write `tls: true` for a port that begins encrypted") from None
    except exceptions.IMAPClientError as error:
        raise SourceRejected(f"the server refuses it for {what}: {told(error)}", hint="Look at the stream's words") from None
    except ssl.SSLCertVerificationError:
        raise SourceRejected("the server's certificate is not one that we trust", hint="Look at the server's TLS") from None
    except OSError as error:
        raise SourceUnavailable(f"{what} could not be read: {type(error).__name__}", hint="If it stays so, look at the server") from None
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise SourceUnavailable(f"the answer of {what} is no IMAP: {type(error).__name__}", hint="Look at host and port") from None


def _refused(text: str) -> ConnectorError:
    if any(code in text.upper() for code in _LATER):
        return SourceUnavailable("the mail service takes no login now", hint="If it stays so, look whether too many are logged in")
    return AuthFailed("the mailbox refuses the user, or its password or token", hint="Correct the Connection, or authorise it again")
