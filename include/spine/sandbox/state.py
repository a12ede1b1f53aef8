"""What one running sandbox knows: worlds, tokens, faults, counted requests, the drop folder and its journal.

The journal lets a restarted sandbox go on where it was: same anchor in time, same rotated refresh tokens,
same mutations. Without it every start is new.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from threading import RLock
from typing import Any

import orjson

from spine.core import clock
from spine.core.errors import ConfigError
from spine.core.names import require_tenant
from spine.sandbox import changes, files
from spine.sandbox.accounts import Tokens
from spine.sandbox.faults import Call, Faults
from spine.sandbox.tables import stream_of
from spine.sandbox.world import DAYS, World

_REMEMBERED = 50_000
_AMOUNTS = ("changed", "created", "deleted", "purged", "stamped")


class Sandbox:
    """The state behind the HTTP routes; tests may use it directly.

    `tenants` maps each tenant to its scale (number of real persons). `held_back` is the number of last days whose people
    files are not there yet; `deliver` brings them. `journal` is a file that outlives the process.
    """

    daily_limit = 100_000  # calls that an org may make, as the vendor's headers say

    def __init__(
        self,
        tenants: Mapping[str, int],
        *,
        seed: int = 7,
        now: datetime | None = None,
        drop: Path | None = None,
        token_lifetime: float = 7200.0,
        rotate: bool = True,
        journal: Path | None = None,
        held_back: int = 0,
    ) -> None:
        self.lock, self.drop, self.journal = RLock(), drop, journal
        events = self._events()
        start = next((event for event in events if event["event"] == "start"), None)
        self.now = clock.parse(start["now"]) if start else now or _this_hour()
        self.worlds = {require_tenant(tenant): World(tenant, seed, scale, self.now) for tenant, scale in tenants.items()}
        self.tokens = Tokens(tuple(self.worlds), token_lifetime, rotate)
        self.faults, self.calls, self.numbers = Faults(), deque[Call](maxlen=_REMEMBERED), count(1)
        self.counted: dict[str, int] = {}
        self.links: dict[tuple[str, str], list[str]] = {}  # companies of contacts by tenant and id, where they are not those of the world
        shape = {"seed": seed, "tenants": dict(tenants)}
        if start is None:
            self._write({"event": "start", "now": clock.to_text(self.now), **shape})
        elif any(start[key] != value for key, value in shape.items()):
            raise ConfigError(f"{journal} is the journal of another world", hint="Remove it, or start with its seed and tenants")
        if drop:
            for world in self.worlds.values():
                files.drop_all(world, drop, held_back)
        for event in events:
            self._replay(event)

    def _events(self) -> list[dict[str, Any]]:
        if not self.journal or not self.journal.exists():
            return []
        content = self.journal.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            # The last line was cut short by a crash, so it was never answered: forget it, or the next would be glued to it.
            os.truncate(self.journal, len(whole))
        return [orjson.loads(line) for line in whole.splitlines()]

    def _write(self, event: dict[str, Any]) -> None:
        if self.journal:
            self.journal.parent.mkdir(parents=True, exist_ok=True)
            with self.journal.open("ab") as file:
                file.write(orjson.dumps(event) + b"\n")

    def _replay(self, event: dict[str, Any]) -> None:
        if event["event"] == "refresh":
            self.tokens.generation[event["tenant"]] = event["generation"]
        elif event["event"] == "advance":
            self._advance(event["request"])
        elif event["event"] == "merge":
            self._merge(event["request"])
        elif event["event"] == "load":
            self._load(event["request"])

    def world(self, tenant: str) -> World:
        """The world of a tenant. Raises ConfigError for an unknown one."""
        if tenant not in self.worlds:
            raise ConfigError(f"the sandbox has no tenant {tenant!r}", hint=f"It serves {', '.join(self.worlds)}")
        return self.worlds[tenant]

    def count(self, call: Call) -> None:
        """Remember a request."""
        self.calls.append(call)
        self.counted[call.vendor] = self.counted.get(call.vendor, 0) + 1

    def refresh(self, form: dict[str, str]) -> tuple[str, str, str | None]:
        """A token request; a rotation is journalled before it is answered. Raises OAuthError."""
        with self.lock:
            answer = self.tokens.grant(form)
            if answer[2]:
                self._write({"event": "refresh", "tenant": answer[0], "generation": self.tokens.generation[answer[0]]})
            return answer

    def advance(self, **request: Any) -> dict[str, Any]:
        """Let rows change: source, stream, tenant, changed, created, deleted, purged, stamped, at (ISO), spread (seconds), late (seconds).

        With `late`, `created` rows appear whose times lie that long before the stream's newest row. `at` is the real
        current second unless given. Files of `people_files` are written at once. Raises ConfigError.
        """
        with self.lock:
            moment = clock.parse(request["at"]) if request.get("at") else clock.now().replace(microsecond=0)
            request = {**request, "at": clock.to_text(moment)}
            answer = self._advance(request)
            self._write({"event": "advance", "request": request})
            return answer

    def _advance(self, request: dict[str, Any]) -> dict[str, Any]:
        world = self.world(request.get("tenant", "default"))
        stream = stream_of(request["source"], request["stream"])
        at, amounts = clock.parse(request["at"]), {key: int(request.get(key, 0)) for key in _AMOUNTS}
        if request.get("late") is not None:
            change = changes.commit_late(world, stream, amounts["created"] or 1, float(request["late"]))
        else:
            change = changes.advance(world, stream, at, **amounts, spread=float(request.get("spread", 0)))
        answer: dict[str, Any] = {"changed": change.changed, "created": change.created, "deleted": change.deleted}
        if stream.source == "people_files" and self.drop:
            answer["file"] = str(files.drop_rows(world, self.drop, [*change.changed, *change.created], at))
        return answer

    def merge(self, **request: Any) -> dict[str, Any]:
        """Merge a row into another: source, stream, tenant, keep, gone, at (ISO). Raises ConfigError."""
        with self.lock:
            request = {**request, "at": request.get("at") or clock.to_text(clock.now().replace(microsecond=0))}
            self._merge(request)
            self._write({"event": "merge", "request": request})
            return {"kept": request["keep"]}

    def _merge(self, request: dict[str, Any]) -> None:
        stream = stream_of(request["source"], request["stream"])
        world = self.world(request.get("tenant", "default"))
        changes.merge(world, stream, request["keep"], request["gone"], clock.parse(request["at"]))

    def deliver(self, day: int, tenant: str = "default") -> Path | None:
        """Write the people file of day 0 … 30, None if nobody changed then. Raises ConfigError without a drop folder."""
        if not self.drop or not 0 <= day <= DAYS:
            raise ConfigError(f"no people file for day {day}", hint=f"Start with a drop folder and use day 0 to {DAYS}")
        return files.drop_files(self.world(tenant), self.drop, day)

    def load(self, **request: Any) -> dict[str, Any]:
        """Put given records into a stream: source, stream, tenant, records, truth, replace, at, file (people_files).

        Records carry the vendor's own field names. Returns `ids` in the order of the records. Raises ConfigError.
        """
        with self.lock:
            answer = self._load(request)
            self._write({"event": "load", "request": request})
            return answer

    def _load(self, request: dict[str, Any]) -> dict[str, Any]:
        files.require_name(request.get("file"))
        world = self.world(request.get("tenant", "default"))
        stream = stream_of(request["source"], request["stream"])
        at = clock.parse(request["at"]) if request.get("at") else None
        replace = bool(request.get("replace"))
        if stream.source == "people_files" and self.drop and replace:
            files.clear(world, self.drop)
        ids = changes.load(world, stream, request["records"], truth=request.get("truth") or (), replace=replace, at=at)
        answer: dict[str, Any] = {"ids": ids}
        if stream.source == "people_files" and self.drop:
            answer["file"] = str(files.drop_rows(world, self.drop, ids, at or world.now, request.get("file")))
        return answer


def _this_hour() -> datetime:
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
