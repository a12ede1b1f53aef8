"""A whole source, and how its file is found and read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from spine.core.declarations import Strict, load_declaration, located, refuse
from spine.core.errors import ConfigError
from spine.core.settings import settings
from spine.core.texts import Cron, HostPattern, Word
from spine.http.allowance import Limits
from spine.http.auth import Auth
from spine.http.auth.none import NoAuth
from spine.http.retry import Retry
from spine.http.rules import Rule
from spine.sources.spec.auths import AnyAuth
from spine.sources.spec.budgets import RateLimit, Timeouts
from spine.sources.spec.streams import Stream
from spine.sources.spec.taps import Tap
from spine.sources.spec.variables import Variable
from spine.sources.spec.writes import Write

Domain = Literal["revops", "finops", "supportops", "marketingops", "devops", "itops", "hr"]
Tier = Literal["critical", "standard", "best_effort"]
TIER_SCHEDULE: dict[str, str] = {"critical": "0 * * * *", "standard": "0 2 * * *", "best_effort": "0 3 * * 0"}
# Names that placeholders have besides variables.
RESERVED = frozenset({"start", "end", "parent", "partition", "job", "fields", "page", "item", "changes", "found", "id", "record", "records",
                      "idempotency_key"})  # fmt: skip
# How long one stream may be read in one run: well within the tier's deadline, since Silver waits for all streams of a run.
TIER_STREAM: dict[str, timedelta] = {"critical": timedelta(minutes=10), "standard": timedelta(hours=1), "best_effort": timedelta(hours=6)}


class Source(Strict):
    """A whole source. `kind`: `generic` needs YAML only, `files` is a folder, `custom` has a module; the others are what they are called.

    That module is in `spine.sources.custom` and has the source's name unless `reader` names another. `hybrid` means the same as `custom`:
    older files say so.

    Example:
        source: acme
        label: Acme
        domain: revops
        auth: {type: bearer}
        variables: {region: {default: eu}}
        host: https://{region}.api.acme.example/v1
        streams:
          - name: customers
            path: /customers
            key: [id]
            entity: person
            mapping:
              fields: {given_name: first, family_name: last}
    """

    source: Word = Field(description="Its name, which is the file's, the DAG's and the Connection's")
    label: str = Field(description="Its name for people")
    description: str = Field(default="", description="What it brings")
    domain: Domain = Field(description="Who asks for it")
    kind: Literal["generic", "files", "database", "singer", "mongodb", "imap", "lake", "custom", "hybrid"] = Field(
        default="generic", description="What reads it"
    )
    reader: Word | None = Field(
        default=None,
        description="The module of a `custom` reader or of a `generic` source's own `Stages`; of a `database` its kind",
    )
    tap: Tap | None = Field(default=None, description="The Singer tap that is run, of a source of kind `singer`")
    auth: AnyAuth = Field(default=NoAuth(), description="How requests are signed: a kind of [authentication](reference.md#authentication)")
    other_auths: dict[Word, AnyAuth] = Field(
        default_factory=dict, description="Other ways to sign; the Connection's extra chooses one by name, as `auth: <name>`"
    )
    tier: Tier = Field(default="standard", description="How often it is read, how often tried again, and how late it may be")
    schedule: Cron | None = Field(default=None, description="When it is read, as cron; by the tier if not given")
    rate_limit: RateLimit = Field(default=RateLimit(), description="How fast it may be asked")
    retry: Retry = Field(default=Retry(), description="How often a request is tried again")
    timeouts: Timeouts = Field(default=Timeouts(), description="How long it may take")
    limits: Limits = Field(default=Limits(), description="How much a stream may bring")
    headers: dict[str, str] = Field(default_factory=dict, description="Headers of every request")
    errors: tuple[Rule, ...] = Field(default=(), description="What becomes of odd answers; the first rule that fits counts")
    variables: dict[Word, Variable] = Field(default_factory=dict, description="Values of the Connection's extra, for placeholders `{name}`")
    host: str | None = Field(
        default=None, description="The address of accounts whose Connection has no host, as https://{name}.example.com"
    )
    hosts: tuple[HostPattern, ...] = Field(default=(), description="Other hosts that get our credentials; `*.example.com` is all below it")
    open_hosts: tuple[HostPattern, ...] = Field(default=(), description="Hosts that are asked without credentials, as stores of files")
    streams: tuple[Stream, ...] = Field(min_length=1, description="What is read")
    write: dict[Word, Write] = Field(default_factory=dict, description="What may be written back by [the way back](syncs.md), by object")

    @model_validator(mode="after")
    def _names(self) -> Source:
        names = [stream.name for stream in self.streams]
        taken: list[tuple[tuple[str | int, ...], str]] = [
            (("streams", number, "name"), f"another stream is named {name!r} too")
            for number, name in enumerate(names) if name in names[:number]
        ]  # fmt: skip
        taken += [(("variables", name), f"{{{name}}} means something else already") for name in self.variables if name in RESERVED]
        taken += [
            (("streams", number, "name"), f"another stream becomes {stream.name!r}, whose Silver table would have the same name")
            for number, stream in enumerate(self.streams) if stream.entity is None and stream.name in self.entities
        ]  # fmt: skip
        taken += [
            (("streams", number, "history"), f"its table would be that of {stream.name}_history, which has the same name")
            for number, stream in enumerate(self.streams) if stream.history and f"{stream.name}_history" in self.silvers
        ]  # fmt: skip
        templates = [stream.name for stream in self.streams if stream.found is not None]
        taken += [
            (("streams", number, "name"), f"would be taken for one of those that {template!r} finds")
            for number, name in enumerate(names) for template in templates if name.startswith(f"{template}_")
        ]  # fmt: skip
        refuse(type(self), taken)
        return self

    @property
    def keeps_state(self) -> bool:
        """Whether what is kept in place of a cursor is the reader's own: a list of files or folders, a tap's STATE, a version."""
        return self.kind in ("files", "singer", "imap", "lake")

    @property
    def cron(self) -> str:
        """The schedule, by its own word or by its tier."""
        return self.schedule or TIER_SCHEDULE[self.tier]

    @property
    def stream_time(self) -> timedelta:
        """How long one stream may be read in one run, by its own word or by its tier."""
        return self.timeouts.stream or TIER_STREAM[self.tier]

    def time_of(self, stream: Stream) -> timedelta:
        """How long this stream may be read in one run."""
        return (stream.timeouts.stream if stream.timeouts else None) or self.stream_time

    @property
    def entities(self) -> tuple[str, ...]:
        """The canonical entities that this source feeds, sorted."""
        return tuple(sorted({stream.entity for stream in self.streams if stream.entity is not None}))

    @property
    def silvers(self) -> tuple[str, ...]:
        """What its Silver tables are named after, sorted: entities, and streams without one."""
        return tuple(sorted({stream.silver for stream in self.streams}))

    def auth_of(self, stream: Stream | None, extra: Mapping[str, Any]) -> Auth:
        """How requests are signed: as the stream says, as the Connection's extra chooses, or as is usual. Raises ConfigError."""
        if stream is not None and stream.auth is not None:
            return stream.auth
        chosen = str(extra.get("auth") or "")
        if chosen and chosen not in self.other_auths:
            hint = f"It has {sorted(self.other_auths)}, or nothing for the usual one"
            raise ConfigError(f"source {self.source!r} has no way to sign named {chosen!r}", hint=hint)
        return self.other_auths[chosen] if chosen else self.auth

    def stream(self, name: str) -> Stream:
        """The stream of that name, or what the file says of one that was found. Raises ConfigError that lists the known ones."""
        for stream in self.streams:
            if stream.name == name:
                return stream
        for stream in self.streams:
            if stream.found is not None and stream.template is None and name.startswith(f"{stream.name}_"):
                return stream.found_as(name, {})
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
