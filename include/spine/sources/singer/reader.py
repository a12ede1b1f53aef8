"""Makes pages of a tap's messages; a page's token and cursor are the last STATE of which all records are in pages.

Where a tap tells versions of whole tables, the cursor has beside the STATE the version that was activated last: another one than that means
that the tap has sent everything anew, so that what it has not sent is gone, in an incremental run as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import orjson

from spine.core import declarations
from spine.core.errors import ConfigError, SchemaMismatch
from spine.core.placeholders import Absent, fill_all, names_in
from spine.core.settings import settings
from spine.sources.access import Access
from spine.sources.reading import Page, Record, State, Window, has
from spine.sources.recording import Recorder
from spine.sources.singer.environments import program_of
from spine.sources.singer.messages import DELETED, Message, message_of, selected
from spine.sources.singer.running import Running, folder_for, running
from spine.sources.spec import Source, Stream
from spine.sources.spec.taps import Tap

READS = frozenset({
    "object", "fields", "required_fields", "cursor.field", "cursor.type", "cursor.reads", "filters", "flatten", "rename", "compute",
    "personal", "deletes.field",
})  # fmt: skip
DETECTS = frozenset({"flag", "sweep"})
_VERSION = "spine_version"
_FIELDS = ("host", "port", "schema", "login", "password")


def mistakes(stream: Stream) -> Iterator[tuple[declarations.Place, str]]:
    """What is wrong with a stream of a tap: places inside it, and why."""
    if stream.deletes.detect == "flag" and stream.deletes.field is None:
        yield ("deletes", "field"), f"`detect: flag` needs the field that tells a deleted record; {DELETED} is seen without"


def source_mistakes(source: Source) -> Iterator[tuple[declarations.Place, str]]:
    """What is wrong with a whole source: places in its file, and why."""
    if source.tap is None:
        yield ("tap",), "is missing: it says which program is run"


@dataclass(frozen=True)
class Reader:
    """Reads the streams of one tap."""

    source: Source
    access: Access

    def read(self, stream: Stream, state: State, window: Window) -> Iterator[Page]:
        """Pages of what the tap writes, run for this stream alone, from the state of the last page or run on."""
        tap = self.source.tap
        if tap is None:
            raise ConfigError("the source names no tap", source=self.source.source)
        saved, version = _state_of(state, window), None if window.full else _version_of(state)
        config, secrets = _config(tap, self.access)
        program = str(program_of(tap.executable, tap.requirements))
        files = {"config.json": config, **({} if saved is None else {"state.json": saved})}
        with ExitStack() as stack:
            folder = stack.enter_context(folder_for(files))
            command = [program, "--config", str(folder / "config.json")]
            if tap.discover:
                with running([*command, "--discover"], folder, self.access.times.total, secrets) as asked:
                    catalog = _catalog(asked)
                (folder / "catalog.json").write_bytes(orjson.dumps(selected(catalog, stream)))
                command += ["--catalog", str(folder / "catalog.json")]
            if saved is not None:
                command += ["--state", str(folder / "state.json")]
            read = stack.enter_context(running(command, folder, self.access.times.total, secrets))
            recorder = Recorder(stream, Window(full=True) if not window.backfill else window, None, self.access.values, self.access.hashed)
            yield from _Pages(stream, recorder, self.access, saved, version).pages(read)


def _catalog(asked: Running) -> Any:
    try:
        return orjson.loads(asked.whole())
    except orjson.JSONDecodeError:
        raise SchemaMismatch("the tap's catalog is no JSON", hint="Write `discover: false` if it has none") from None


def _state_of(state: State, window: Window) -> Any:
    """The STATE to begin with: that of the last page, else that of the last run, unless everything is wanted. Raises ConfigError."""
    if state.token is not None:
        return orjson.loads(state.token)["state"]
    if window.full or window.backfill or not state.cursor:
        return None
    try:
        said = orjson.loads(state.cursor)
        return said["state"] if isinstance(said, dict) and _VERSION in said else said
    except orjson.JSONDecodeError:
        raise ConfigError("the saved cursor is no STATE of a tap", hint="Run once with mode full") from None


def _version_of(state: State) -> int | None:
    """The version of the table that was activated last, None where the cursor tells none."""
    try:
        said = orjson.loads(state.cursor or "null")
    except orjson.JSONDecodeError:
        return None
    return said.get(_VERSION) if isinstance(said, dict) else None


def _config(tap: Tap, access: Access) -> tuple[Any, tuple[str, ...]]:
    """The tap's configuration, and what of it nobody may read. Raises ConfigError for a field that the Connection lacks."""
    known = {"host": access.host, "port": access.port, "schema": access.name, "login": access.user, "password": access.password}
    values = {**access.extra, **access.values, **{name: value for name, value in known.items() if value}}
    lacking = sorted({name for name in names_in(tap.config) if name not in access.values and values.get(name.partition(".")[0]) is None})
    if lacking:
        raise ConfigError(f"the Connection has no {', '.join(lacking)}, which the tap's `config` names", hint="Complete the Connection")
    try:
        config = fill_all(tap.config, values) if tap.config else {}
    except Absent:
        config = {}
    hidden = [access.password, *(value for name, value in access.extra.items() if isinstance(value, str))]
    return config, tuple(sorted((text for text in hidden if len(text) > 3), key=len, reverse=True))


@dataclass
class _Pages:
    """What has come and is in no page yet; `state` is the last STATE that came, `versions` what the tap says of whole tables.

    `known` is the version that was activated in the run before.
    """

    stream: Stream
    recorder: Recorder
    access: Access
    state: Any
    known: int | None = None
    waiting: list[Record] = field(default_factory=list)
    size: int = 0
    version: int | None = None
    activated: int | None = None
    described: bool = False
    told: bool = False

    def pages(self, tap: Running) -> Iterator[Page]:
        """Pages until the tap has ended. What has come before it fails is a page as well."""
        most, letters = settings().batch_size, settings().flush_bytes
        name = self.stream.object or self.stream.name
        try:
            for line in tap.lines():
                self.access.allowance.took(len(line))
                message = message_of(line)
                if message is not None:
                    self._see(message, name)
                if len(self.waiting) >= most or self.size >= letters:
                    yield self._page()
        except Exception as error:
            if self.waiting or self.told:
                yield self._page()
            raise error
        whole = self.version is None or self.version == self.activated
        anew = whole and self.known is not None and self.activated is not None and self.activated != self.known
        if whole and self.activated is not None:
            self.known = self.activated
        last = self._page()
        skipped = "" if whole else f"the tap has not said that version {self.version} of the table is whole"
        notes = (f"the tap has sent version {self.activated} of the whole table",) if anew else ()
        yield Page(last.records, None, last.high_water, notes, skipped=skipped, anew=anew)

    def _see(self, message: Message, name: str) -> None:
        if message.type == "STATE":
            self.state, self.told = message.content.get("value"), True
        elif not message.of(name):
            return
        elif message.type == "SCHEMA":
            self._require_key(message)
        elif message.type == "ACTIVATE_VERSION":
            self.activated = message.version
        elif message.type == "RECORD":
            self.version = message.version if message.version is not None else self.version
            self._take(message.content["record"])

    def _take(self, item: Any) -> None:
        gone = isinstance(item, dict) and bool(item.get(DELETED))
        record = self.recorder.record(item, "delete" if gone else "upsert")
        if record is not None:
            self.waiting.append(record)
            self.size += len(record.payload)

    def _require_key(self, message: Message) -> None:
        """Raise SchemaMismatch if the stream's fields are not among those that the tap describes, where it describes them."""
        schema = message.content.get("schema")
        fields = schema.get("properties") if isinstance(schema, dict) else None
        if not isinstance(fields, dict) or not fields or self.stream.rename or self.stream.compute or self.stream.flatten:
            return
        needed = (*self.stream.key_fields, *self.stream.required_fields, *([self.stream.cursor.field] if self.stream.cursor else ()))
        lost = [path for path in needed if not has(fields, path.partition(".")[0])]
        if lost:
            raise SchemaMismatch(f"the tap has no {', '.join(lost)}", hint="Correct key and cursor", stream=self.stream.name)

    def _page(self) -> Page:
        self.access.allowance.turned()
        records, self.waiting, self.size, self.told = self.waiting, [], 0, False
        token = orjson.dumps({"state": self.state}).decode()
        said = self.state if self.known is None else {_VERSION: self.known, "state": self.state}
        cursor = None if said is None else orjson.dumps(said).decode()
        return Page(records, token, cursor)
