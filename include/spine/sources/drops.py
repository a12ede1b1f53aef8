"""The folder, or prefix of a bucket, that a source's files are dropped into: lists it and opens its files, and never anything else.

Whoever may write into a drop must not read by it what they may not read themselves. So no link is followed on the way to a file, whatever
is put there between a look and the next, and only plain files that have no second name are opened: another name (a hard link) may be that
of another tenant's file, and who owns it does not tell.
"""

from __future__ import annotations

import errno
import io
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, BinaryIO, Protocol, TypeVar
from urllib.parse import unquote, urlsplit

from pyarrow import fs as arrow_fs

from spine.core import clock
from spine.core.errors import ConfigError, FileRefused
from spine.core.foreign import told
from spine.core.settings import settings
from spine.http.gate import Gate
from spine.sources.buckets import open_bucket
from spine.sources.places import Place

T = TypeVar("T")
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe without a writer would be waited for
_UNTOLD = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
# Seconds for a list and for each step with an object; bytes of what surrounds them, and of an object in a list.
_LISTING, _STEP, _MARGIN, _LISTED = 600.0, 120.0, 1 << 20, 2048
_AWS = re.compile(r"AWS Error [A-Z0-9_]+ during [A-Za-z0-9]+ operation")
_ONE_NAME = "It may be somebody else's: put a copy of it there"


@dataclass(frozen=True)
class File:
    """One file as listed."""

    changed: datetime
    name: str
    size: int = 0

    @property
    def order(self) -> str:
        """A text that sorts files as they are to be read: by time, then by name, in which numbers count as such."""
        return f"{clock.to_text(self.changed)} {natural(self.name)}"

    @property
    def version(self) -> str:
        """Tells versions of a file apart."""
        return f"{self.size}-{clock.to_text(self.changed)}"


class Drop(Protocol):
    """What is in a folder, for as long as it is open."""

    def list(self) -> tuple[list[File], dict[str, FileRefused]]:
        """Its files, and by name why others are none. Raises OSError, FileRefused if there are too many."""
        ...

    def open(self, name: str) -> BinaryIO:
        """A listed file's bytes. Raises OSError, FileRefused if it is no plain file by now."""
        ...


@dataclass(frozen=True)
class Folder:
    """Where the files are: a path or `s3://bucket/prefix`, and the options of pyarrow's S3FileSystem.

    `place` says which folders are the tenant's. Without one no folder is anybody else's, and links below it are followed no more.
    """

    uri: str
    options: dict[str, Any] = field(repr=False)
    settle: float = 0.0  # seconds for which a file must have stayed unchanged to count as complete
    place: Place | None = field(default=None, compare=False, repr=False)

    @contextmanager
    def open(self) -> Iterator[Drop]:
        """The drop, until it is left. Raises ConfigError if it cannot be opened or is not the tenant's, OSError if it cannot be reached."""
        if self.uri.startswith("s3://"):
            with Gate(settings().private_networks, settings().proxy) as gate:
                yield self._bucket(gate)
            return
        root, below = (self.place or Place()).of(_path(self.uri))
        descriptor = _descend(root, below, self.uri)
        try:
            yield _LocalDrop(descriptor)
        finally:
            os.close(descriptor)

    def _bucket(self, gate: Gate) -> _Bucket:
        if self.place is not None:
            self.place.require_prefix(self.uri)
        try:
            return _Bucket(open_bucket(self.options, gate), self.uri.removeprefix("s3://").rstrip("/"), gate)
        except (ValueError, TypeError, OSError) as error:
            raise ConfigError(f"the folder cannot be opened: {told(error)}", hint="Check host and extra of the Connection") from None


@dataclass(frozen=True)
class _LocalDrop:
    """A folder of this machine. Its descriptor stays the same folder, whatever takes its name meanwhile."""

    descriptor: int

    def list(self) -> tuple[list[File], dict[str, FileRefused]]:
        files: list[File] = []
        refused: dict[str, FileRefused] = {}
        most = settings().bounds.files
        with os.scandir(self.descriptor) as entries:
            for entry in entries:
                try:
                    info = entry.stat(follow_symlinks=False)
                except FileNotFoundError:  # taken away since
                    continue
                if stat.S_ISDIR(info.st_mode):
                    continue
                if why := _no_file(entry.name, info):
                    refused[entry.name] = why
                else:
                    files.append(File(_moment(info.st_mtime_ns), entry.name, info.st_size))
                require_few(len(files) + len(refused), most)
        return files, refused

    def open(self, name: str) -> BinaryIO:
        try:
            descriptor = os.open(name, _FILE, dir_fd=self.descriptor)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.EMLINK, errno.ENXIO):  # a link, by its two names, or a socket
                raise _refusal(name, "a link or a socket") from None
            raise
        if why := _no_file(name, os.fstat(descriptor)):
            os.close(descriptor)
            raise why
        return os.fdopen(descriptor, "rb", buffering=0)


@dataclass(frozen=True)
class _Bucket:
    """A prefix of a bucket. An object's key is taken as it is: no store reads `..` in it as a step."""

    filesystem: arrow_fs.FileSystem
    root: str
    gate: Gate

    def list(self) -> tuple[list[File], dict[str, FileRefused]]:
        most = settings().bounds.files
        self.gate.allow(_LISTING, _MARGIN + most * _LISTED)
        infos = _asked(lambda: self.filesystem.get_file_info(arrow_fs.FileSelector(self.root)))
        found = [info for info in infos if info.is_file]
        require_few(len(found), most)
        odd = {info.base_name for info in found if _UNTOLD.search(info.base_name)}
        files = [File(info.mtime, info.base_name, info.size) for info in found if info.base_name not in odd]
        return files, {name: _refusal(name, "named by letters that cannot be shown") for name in odd}

    def open(self, name: str) -> BinaryIO:
        self.gate.allow(_STEP, _MARGIN)
        opened = _asked(lambda: self.filesystem.open_input_file(f"{self.root}/{name}"))
        return _Object(opened, self.gate)  # type: ignore[return-value]  # a RawIOBase does what a BinaryIO does


class _Object(io.RawIOBase):
    """An object's bytes: each step has its time, and brings what was asked for."""

    def __init__(self, opened: Any, gate: Gate) -> None:
        self._opened, self._gate = opened, gate

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return int(self._opened.tell())

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return int(self._opened.seek(offset, whence))

    def readinto(self, buffer: Any) -> int:
        self._gate.allow(_STEP, _MARGIN + 2 * len(buffer))
        return int(_asked(lambda: self._opened.readinto(buffer)))

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._opened.close()


def _asked(step: Callable[[], T]) -> T:
    """A step at a store; what failed is told without what its server says, who may repeat there what we sent, a session's token too."""
    try:
        return step()
    except OSError as error:
        found, kind = _AWS.search(str(error)), type(error)
        failure = kind(found[0] if found else told(error, 200))
    raise failure  # outside of the handler, so that nothing hangs on it


def natural(name: str) -> str:
    """A name whose numbers sort as numbers: `people_9` before `people_10`."""
    return re.sub(r"\d+", lambda digits: digits[0].lstrip("0").zfill(20), name)


def shown(name: str) -> str:
    """A file's name for a message: what cannot be shown is escaped."""
    return _UNTOLD.sub(lambda letter: ascii(letter[0])[1:-1], name)


def _path(uri: str) -> str:
    """The path of a folder on this machine. Raises ConfigError for an address of any other kind."""
    if "://" not in uri:
        return uri
    try:
        parts = urlsplit(uri)
    except ValueError:
        parts = None
    if parts is None or parts.scheme != "file" or parts.netloc not in ("", "localhost"):
        raise ConfigError(
            "the folder cannot be opened: it is neither a path nor s3://… nor sftp://…", hint="Check host and extra of the Connection"
        )
    return unquote(parts.path)


def _descend(root: str, below: Sequence[str], uri: str) -> int:
    """The folder's descriptor. `root` has no link in it, or is refused where one took its place just now; nor may the steps `below` it."""
    descriptor = os.open("/", _FOLDER)
    for step in (*(part for part in root.split("/") if part), *below):
        outer = descriptor
        try:
            descriptor = os.open(step, _FOLDER, dir_fd=outer)
        except FileNotFoundError as error:
            raise ConfigError(f"there is no folder {uri}", hint="Check the host of the Connection") from error
        except NotADirectoryError as error:  # so is a link, asked for as a folder
            raise ConfigError(f"{step!r} of {uri} is a link or no folder", hint="Name the folder itself in the Connection") from error
        finally:
            os.close(outer)
    return descriptor


def _no_file(name: str, info: os.stat_result) -> FileRefused | None:
    """Why this is no plain file of one name."""
    kinds = {stat.S_IFLNK: "a link", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}
    if not stat.S_ISREG(info.st_mode):
        return _refusal(name, kinds.get(stat.S_IFMT(info.st_mode), "no plain file"))
    if info.st_nlink > 1:
        return _refusal(name, "a file with a second name (a hard link)")
    if _UNTOLD.search(name):
        return _refusal(name, "named by letters that cannot be shown")
    try:
        _moment(info.st_mtime_ns)
    except (OverflowError, ValueError, OSError):
        return _refusal(name, "of a time that no clock shows")
    return None


def _refusal(name: str, what: str) -> FileRefused:
    return FileRefused(f"{shown(name)} is {what} and is not opened", hint=_ONE_NAME, file=shown(name))


def _moment(nanoseconds: int) -> datetime:
    """As Arrow tells it, whose times are in saved cursors."""
    return datetime.fromtimestamp(nanoseconds / 1e9, UTC)


def unshown(name: str) -> FileRefused | None:
    """Why a file of that name is not opened: it has letters that cannot be shown."""
    return _refusal(name, "named by letters that cannot be shown") if _UNTOLD.search(name) else None


def require_few(count: int, most: int) -> None:
    """Raise FileRefused for a folder of more files than a cursor names."""
    if count > most:
        raise FileRefused(f"the folder holds more than {most:,} files", hint="Move files that were read out of it, or raise SPINE_BOUNDS")
