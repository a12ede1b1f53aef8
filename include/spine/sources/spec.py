"""The model of `include/sources/<source>.yaml`: everything that is said about a source, in about fifteen words."""

from __future__ import annotations

from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from pydantic import Field, model_validator

from spine.core.declarations import Strict, load_declaration, located, refuse
from spine.core.errors import ConfigError
from spine.core.mapping import Mapping
from spine.core.settings import settings
from spine.core.texts import Cron, Duration, FieldPath, JmesPath, Word
from spine.http.allowance import Limits
from spine.http.auth import AUTH_KINDS, Auth
from spine.http.auth.none import NoAuth
from spine.http.paging import PAGING_KINDS, Paging
from spine.http.paging.none import NoPaging
from spine.http.retry import Retry

Tier = Literal["critical", "standard", "best_effort"]
# Which kinds there are is known when the program runs: one for each file of the two packages.
if TYPE_CHECKING:
    AnyAuth: TypeAlias = Auth
    AnyPaging: TypeAlias = Paging
else:
    AnyAuth, AnyPaging = AUTH_KINDS.choice(), PAGING_KINDS.choice()
TIER_SCHEDULE: dict[str, str] = {"critical": "0 * * * *", "standard": "0 2 * * *", "best_effort": "0 3 * * 0"}
# How long one stream may be read in one run: well within the tier's deadline, since Silver waits for all streams of a run.
TIER_STREAM: dict[str, timedelta] = {"critical": timedelta(minutes=10), "standard": timedelta(hours=1), "best_effort": timedelta(hours=6)}


class Budget(Strict):
    """A token bucket: so many requests in a time, and at most `burst` at once."""

    requests: int = Field(default=100, ge=1)
    per: Duration = Field(default=timedelta(seconds=60), gt=timedelta())
    burst: int = Field(default=150, ge=1)


class RateLimit(Budget):
    """Token bucket per connection, shared by all its streams and workers; `share` is the part of the vendor's limit we may use.

    `search` is a second limit that searches keep besides.
    """

    share: float = Field(default=1.0, gt=0, le=1)
    search: Budget | None = None


class Timeouts(Strict):
    """Seconds to connect, to wait for the next bytes, and for a request in all, its redirects and its last byte included.

    `total` is below the time for which a run holds its connection without a word, so that no other run begins meanwhile.

    `stream` is how long one stream may be read in one run of the DAG (`40m`), by default 10 minutes, 1 hour or 6 hours by tier: the other
    tenants' rows wait for it. What takes longer ends with STREAM_STOPPED, and the next run goes on from its last committed page.
    """

    connect: float = Field(default=30.0, gt=0, allow_inf_nan=False)
    read: float = Field(default=60.0, gt=0, allow_inf_nan=False)
    total: float = Field(default=300.0, gt=0, le=600)
    stream: Duration | None = Field(default=None, gt=timedelta())


class Cursor(Strict):
    """The field that orders changes. `lookback` is read again on each run, for records committed late.

    `formerly` is the field of cursors that were saved before they noted it. A cursor of another field than today's says nothing of what
    today's has passed: everything is read again, once. `since` and `until` name the parameters that ask a generic source for changes.
    `since: null` says that it has none: every run then reads everything and leaves out what is old.
    """

    field: FieldPath
    formerly: FieldPath | None = None
    lookback: Duration = timedelta(minutes=5)
    since: str | None = None
    until: str | None = None


class Deletes(Strict):
    """How deletes are seen and what they do. `sweep`: a full read marks what it did not see, up to `max_share` of the stream."""

    mode: Literal["soft_delete", "hard_delete", "ignore"] = "soft_delete"
    detect: Literal["none", "flag", "archived", "sweep"] = "none"
    field: FieldPath | None = None
    max_share: float = Field(default=0.2, gt=0, le=1)

    @model_validator(mode="after")
    def _field_is_read(self) -> Deletes:
        if self.field is not None and self.detect != "flag":
            refuse(type(self), [(("field",), "only `detect: flag` reads it")])
        return self


class Stream(Strict):
    """One table, object or endpoint of a source, and the canonical entity it becomes.

    Not every reader reads every word: `records`, `paging` but for its size, and `since` and `until` of the cursor are for sources of kind
    `generic`; `object` and `fields` are for readers that ask for them. Each reader's module lists what it reads (`READS`), how it sees
    deletes (`DETECTS`), and what else is wrong with a stream (`mistakes`).
    """

    name: Word
    path: str = ""
    object: str | None = None
    params: dict[str, str] = Field(default_factory=dict)
    records: JmesPath = "@"
    key: tuple[FieldPath, ...] = Field(min_length=1)
    fields: tuple[str, ...] = ()
    required_fields: tuple[FieldPath, ...] = ()
    cursor: Cursor | None = None
    paging: AnyPaging = Field(default_factory=NoPaging)
    deletes: Deletes = Deletes()
    entity: Word
    mapping: Mapping


class Source(Strict):
    """A whole source. `kind`: `generic` needs YAML only, `files` is a folder, `custom` has a module in `spine.sources.custom`.

    That module has the source's name unless `reader` names another. `hybrid` means the same as `custom`: older files say so.
    """

    source: Word
    label: str
    description: str = ""
    domain: Literal["revops", "finops", "supportops", "marketingops", "hr"]
    kind: Literal["generic", "files", "custom", "hybrid"] = "generic"
    reader: Word | None = None
    auth: AnyAuth = NoAuth()
    tier: Tier = "standard"
    schedule: Cron | None = None
    rate_limit: RateLimit = RateLimit()
    retry: Retry = Retry()
    timeouts: Timeouts = Timeouts()
    limits: Limits = Limits()
    headers: dict[str, str] = Field(default_factory=dict)
    streams: tuple[Stream, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _names(self) -> Source:
        names = [stream.name for stream in self.streams]
        refuse(type(self), [
            (("streams", number, "name"), f"another stream is named {name!r} too")
            for number, name in enumerate(names) if name in names[:number]
        ])  # fmt: skip
        return self

    @property
    def cron(self) -> str:
        """The schedule, by its own word or by its tier."""
        return self.schedule or TIER_SCHEDULE[self.tier]

    @property
    def stream_time(self) -> timedelta:
        """How long one stream may be read in one run, by its own word or by its tier."""
        return self.timeouts.stream or TIER_STREAM[self.tier]

    @property
    def entities(self) -> tuple[str, ...]:
        """The canonical entities that this source feeds, sorted."""
        return tuple(sorted({stream.entity for stream in self.streams}))

    def stream(self, name: str) -> Stream:
        """The stream of that name. Raises ConfigError that lists the known ones."""
        for stream in self.streams:
            if stream.name == name:
                return stream
        raise ConfigError(f"source {self.source!r} has no stream {name!r}", hint=f"It has {[s.name for s in self.streams]}")


@lru_cache(maxsize=1024)
def _load(path: Path, _modified: int) -> Source:
    source = load_declaration(path, Source)
    if source.source != path.stem:
        why = f"is {source.source!r}, but the file is named {path.stem!r}"
        raise ConfigError.of(located(path, [(("source",), why)]))
    return source


def load_source(name: str, folder: Path | None = None) -> Source:
    """The source declared in `<folder>/<name>.yaml`. Raises ConfigError with file, line and field."""
    path = (folder or settings().sources) / f"{name}.yaml"
    if not path.is_file():
        raise ConfigError(f"no source {name!r}", hint=f"Declare it in {path}")
    return _load(path, path.stat().st_mtime_ns)


def source_names(folder: Path | None = None) -> list[str]:
    """Names of all declared sources, sorted, without reading them."""
    return sorted(path.stem for path in (folder or settings().sources).glob("*.yaml"))
