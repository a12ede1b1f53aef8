"""A folder of an SFTP server as a drop. The server is one whose key the Connection names, at an address that may be called.

Only plain files are listed. A file is read in blocks of several requests at once, so that a distant server's answers do not come one by
one, and memory stays flat.
"""

from __future__ import annotations

import base64
import binascii
import io
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

from spine.core.errors import AuthFailed, ConfigError, FileRefused, SourceUnavailable
from spine.core.settings import settings
from spine.sources.access import connected
from spine.sources.drops import Drop, File, Folder, require_few, unshown

_PORT, _CONNECT, _STEP = 22, 30.0, 120.0
_REQUEST, _AT_ONCE = (
    32768,
    32,
)  # bytes that every server gives for one request (draft-ietf-secsh-filexfer-02, 3), and how many are asked for
_WORDS = frozenset({"host_key", "private_key", "passphrase"})


@dataclass(frozen=True)
class SftpFolder(Folder):
    """`sftp://host[:port]/path`, where `/~/path` lies in the user's home. `options` has the user, a password or key, and the host's key."""

    @contextmanager
    def open(self) -> Iterator[Drop]:
        """The drop, until it is left. Raises ConfigError, AuthFailed, SourceUnavailable."""
        import paramiko

        parts = urlsplit(self.uri)
        try:
            host, port = parts.hostname or "", parts.port or _PORT
        except ValueError:
            raise ConfigError("the port of the folder's address is no number", hint="Write sftp://host:port/path") from None
        path = unquote(parts.path).replace("/~/", "", 1) if parts.path.startswith("/~/") else unquote(parts.path)
        with ExitStack() as stack:
            line = stack.enter_context(connected(host, port, _CONNECT))
            try:
                transport = stack.enter_context(paramiko.Transport(line))
                transport.banner_timeout = transport.auth_timeout = transport.handshake_timeout = _CONNECT
                _log_in(transport, host, self.options)
                client = stack.enter_context(_client(transport))
                client.get_channel().settimeout(_STEP)
            except (paramiko.SSHException, EOFError, OSError) as error:
                raise _failure(error, host) from None
            yield _SftpDrop(client, path.rstrip("/") or ("." if not path else "/"))


def sftp_options(login: str, password: str, given: Any) -> dict[str, Any]:
    """What a Connection says of a server: its login, password, and `sftp` of its extra. Raises ConfigError for another word there."""
    said = given or {}
    if not isinstance(said, dict) or not said.keys() <= _WORDS:
        raise ConfigError("`sftp` in the Connection's extra has other words", hint=f"It may have {', '.join(sorted(_WORDS))}")
    return {"user": login, "password": password, **said}


def _client(transport: Any) -> Any:
    from paramiko import SFTPClient, SSHException

    client = SFTPClient.from_transport(transport)
    if client is None:
        raise SSHException("no channel")
    return client


def _log_in(transport: Any, host: str, options: dict[str, Any]) -> None:
    """Raises ConfigError where the host's key is not said or no key, AuthFailed where another one is shown or the login is refused."""
    import paramiko

    transport.start_client(timeout=_CONNECT)
    shown = transport.get_remote_server_key()
    said = str(options.get("host_key") or "").split()
    if len(said) < 2:
        hint = f"If the server's owner says so too, put it into `sftp` of the extra: {shown.get_name()} {shown.get_base64()}"
        raise ConfigError(f"the Connection does not say which key {host} has", hint=hint)
    try:
        known = base64.b64decode(said[1], validate=True)
    except binascii.Error:
        raise ConfigError(
            "`host_key` in the Connection's extra is no key", hint="Write it as ssh-keyscan does: ssh-ed25519 AAAA…"
        ) from None
    if known != shown.asbytes():
        hint = "Ask its owner whether its key has changed; if not, somebody is in between"
        raise AuthFailed(f"{host} is not the server whose key the Connection names", hint=hint)
    user = str(options.get("user") or "")
    try:
        if options.get("private_key"):
            transport.auth_publickey(user, _key(str(options["private_key"]), options.get("passphrase")))
        else:
            transport.auth_password(user, str(options.get("password") or ""))
    except paramiko.AuthenticationException:
        raise AuthFailed(f"{host} refuses the login", hint="Correct login, and password or key, of the Connection") from None


def _key(text: str, passphrase: Any) -> Any:
    import paramiko

    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        try:
            return kind.from_private_key(io.StringIO(text), password=str(passphrase) if passphrase else None)
        except (paramiko.SSHException, ValueError, TypeError):
            continue
    raise ConfigError("`private_key` in the Connection's extra is no key that opens", hint="Put the whole file there")


def _failure(error: Exception, host: str) -> Exception:
    """Without the server's words. What is ours stays."""
    return SourceUnavailable(f"{host} does not speak SFTP with us: {type(error).__name__}", hint="If it stays so, look at the server")


@dataclass(frozen=True)
class _SftpDrop:
    """An open folder."""

    client: Any
    root: str

    def list(self) -> tuple[list[File], dict[str, FileRefused]]:
        files: list[File] = []
        refused: dict[str, FileRefused] = {}
        with _spoken():
            for entry in self.client.listdir_iter(self.root):
                if not _is_plain(entry):
                    continue
                if why := unshown(entry.filename):
                    refused[entry.filename] = why
                else:
                    files.append(File(datetime.fromtimestamp(entry.st_mtime or 0, UTC), entry.filename, int(entry.st_size or 0)))
                require_few(len(files) + len(refused), settings().bounds.files)
        return files, refused

    def open(self, name: str) -> BinaryIO:
        with _spoken():
            return _SftpFile(self.client.open(f"{self.root}/{name}", "rb"))  # type: ignore[return-value]  # does what a BinaryIO does


def _is_plain(entry: Any) -> bool:
    """Whether it is a plain file, by its line in the list where the server tells no permissions, which it need not (draft 02, 5)."""
    if entry.st_mode is not None:
        return stat.S_ISREG(entry.st_mode)
    return not str(getattr(entry, "longname", "")).startswith(("d", "l"))


class _SftpFile(io.RawIOBase):
    """A file's bytes, a block of several requests at a time."""

    def __init__(self, opened: Any) -> None:
        self._opened = opened
        with _spoken():
            self._size = int(opened.stat().st_size)
        self._place, self._block, self._from = 0, b"", 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._place = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence])
        return self._place

    def readinto(self, buffer: Any) -> int:
        inside = self._place - self._from
        if not 0 <= inside < len(self._block):
            self._block, self._from, inside = self._read(), self._place, 0
        piece = self._block[inside : inside + len(buffer)]
        buffer[: len(piece)] = piece
        self._place += len(piece)
        return len(piece)

    def _read(self) -> bytes:
        left = min(self._size - self._place, _REQUEST * _AT_ONCE)
        places = [(self._place + at, min(_REQUEST, left - at)) for at in range(0, max(0, left), _REQUEST)]
        with _spoken():
            return b"".join(self._opened.readv(places)) if places else b""

    def close(self) -> None:
        if not self.closed:
            super().close()
            with _spoken():
                self._opened.close()


@contextmanager
def _spoken() -> Iterator[None]:
    """What fails in a conversation becomes OSError, without the server's words."""
    import paramiko

    try:
        yield
    except FileNotFoundError:
        raise
    except (paramiko.SSHException, EOFError, OSError) as error:
        raise OSError(f"the server broke off: {type(error).__name__}") from None
