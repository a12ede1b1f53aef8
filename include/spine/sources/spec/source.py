"""A whole source, and how its file is found and read."""

from __future__ import annotations

from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from pydantic import Field, model_validator

from spine.core.declarations import Strict, load_declaration, located, refuse
from spine.core.errors import ConfigError
from spine.core.settings import settings
from spine.core.texts import Cron, Word
from spine.http.allowance import Limits
from spine.http.auth import AUTH_KINDS, Auth
from spine.http.auth.none import NoAuth
from spine.http.retry import Retry
from spine.sources.spec.budgets import RateLimit, Timeouts
from spine.sources.spec.streams import Stream

Tier = Literal["critical", "standard", "best_effort"]
# Which kinds there are is known when the program runs: one for each file of the package.
if TYPE_CHECKING:
    AnyAuth: TypeAlias = Auth
else:
    AnyAuth = AUTH_KINDS.choice()
TIER_SCHEDULE: dict[str, str] = {"critical": "0 * * * *", "standard": "0 2 * * *", "best_effort": "0 3 * * 0"}
# How long one stream may be read in one run: well within the tier's deadline, since Silver waits for all streams of a run.
TIER_STREAM: dict[str, timedelta] = {"critical": timedelta(minutes=10), "standard": timedelta(hours=1), "best_effort": timedelta(hours=6)}


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
