"""How far each stream has been read: JSON in the Variable `spine.cursor.<connection>.<stream>`, as Airflow users expect.

A sync moves its cursor after its last commit; people set or rewind it here, checked and audited.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import orjson

from spine.control import audit, stream_states
from spine.control.database import TenantDatabase
from spine.control.variables import Variables
from spine.core import clock
from spine.core.errors import ConfigError
from spine.core.names import cursor_variable

Scale = Literal["time", "number", "text"]  # what makes two positions of a stream comparable
LONGEST = 64 * 1024  # bytes of a Variable; more is kept in the control plane
_SKEW = timedelta(minutes=5)  # sources' clocks run ahead of ours by a little


@dataclass(frozen=True)
class Cursor:
    """High-water mark of a stream: the value as the source writes it, when it was moved, and by which run or person.

    `field` is the source's field that it is of; None in cursors of the first versions, which did not note it. A stream that is read part by
    part has a cursor for each in `parts`, and in `parents` how far the changes of its parents are read; `value` is the greatest of them.
    """

    value: str
    updated_at: str
    run_id: str
    field: str | None = None
    parts: Mapping[str, str] | None = None
    parents: str | None = None


@dataclass(frozen=True)
class Cursors:
    """The cursors of one tenant's connection."""

    variables: Variables
    database: TenantDatabase
    connection_id: str

    def show(self, stream: str) -> Cursor | None:
        """The cursor, None before the first sync. Raises ConfigError if somebody left unreadable text there."""
        name = cursor_variable(self.connection_id, stream)
        raw = self.variables.get(name)
        if raw is None:
            return None
        try:
            data = orjson.loads(raw)
            field, parents = (None if data.get(name) is None else str(data[name]) for name in ("field", "parents"))
            parts = self._parts(stream, data)
            return Cursor(str(data["value"]), str(data["updated_at"]), str(data["run_id"]), field, parts, parents)
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(
                f"Variable {name} does not hold a cursor",
                hint='Write {"value": "…", "updated_at": "…", "run_id": "…"}, or delete the Variable to read everything again',
                connection=self.connection_id,
                stream=stream,
            ) from error

    def streams(self) -> Sequence[str]:
        """Streams of the connection that have a cursor."""
        prefix = cursor_variable(self.connection_id, "")
        return [name.removeprefix(prefix) for name in self.variables.keys(prefix)]

    def _parts(self, stream: str, data: dict[str, Any]) -> Mapping[str, str] | None:
        """The partitions' cursors, in the Variable itself or where it points to."""
        place = data.get("parts_in")
        if place is None:
            return None if data.get("parts") is None else {str(name): str(at) for name, at in data["parts"].items()}
        found = stream_states.load(self.database, self.connection_id, stream, str(place))
        if found is None:
            raise self._refused(
                stream, "the cursors of its partitions are gone from spine.stream_states", "Restore it, or delete the Variable to read anew"
            )
        return found

    def move(
        self, stream: str, value: str, run_id: str, field: str | None = None,
        parts: Mapping[str, str] | None = None, parents: str | None = None,
    ) -> Cursor:  # fmt: skip
        """Write the cursor at the end of a sync; what is too long for a Variable goes to the control plane.

        Not audited: the run log has it.
        """
        cursor = Cursor(value, clock.to_text(clock.now()), run_id, field, parts, parents)
        content = {name: content for name, content in vars(cursor).items() if content is not None}
        state = ""
        if parts is not None and len(orjson.dumps(content)) > LONGEST:
            state = stream_states.keep(self.database, self.connection_id, stream, parts)
            content = {**content, "parts_in": state}
            del content["parts"]
        self.variables.set(cursor_variable(self.connection_id, stream), orjson.dumps(content).decode())
        if parts is not None:
            stream_states.forget(self.database, self.connection_id, stream, but=state)
        return cursor

    def set(self, stream: str, value: str, *, by: str, scale: Scale = "time", part: str | None = None) -> Cursor:
        """Put the cursor anywhere up to now, by hand: of one `part` of the stream, or of all that it has.

        Raises ConfigError if `value` does not parse or lies in the future, or the stream has no such part.
        """
        self._position(stream, value, scale)
        try:
            old = self.show(stream)
        except ConfigError:  # setting it is the way to mend a spoilt one
            old = None
        if part is not None:
            self._of_part(stream, old, part)
        return self._by_hand(stream, value, by, "cursor_set", old, part)

    def rewind(self, stream: str, value: str, *, by: str, scale: Scale = "time", part: str | None = None) -> Cursor:
        """Put the cursor back so that the next sync reads from `value` again, of one `part` of the stream or of all that are beyond.

        Raises ConfigError if that is no step back, or the stream has no such part.
        """
        wanted, old = self._position(stream, value, scale), self.show(stream)
        if old is None:
            raise self._refused(stream, "there is no cursor to rewind", "The next sync reads everything anyway")
        before = old.value if part is None else self._of_part(stream, old, part)
        if wanted >= self._position(stream, before, scale):
            raise self._refused(stream, f"{value} is not before the cursor {before}", "Use set to move it forward")
        return self._by_hand(stream, value, by, "cursor_rewound", old, part)

    def _of_part(self, stream: str, old: Cursor | None, part: str) -> str:
        found = (old.parts or {}).get(part) if old else None
        if found is None:
            raise self._refused(stream, f"it has no part {part!r}", "`spine cursor show --parts` lists them")
        return found

    def _by_hand(self, stream: str, value: str, by: str, action: str, old: Cursor | None, part: str | None) -> Cursor:
        # The audit row is written first: a cursor that moved without a trace would be worse than a trace without a move.
        former = None if old is None else {"value": old.value, "run_id": old.run_id}
        resource = f"{self.connection_id}.{stream}" + (f" {part}" if part is not None else "")
        audit.record(self.database, audit.Entry(by, action, "cursor", resource, former, {"value": value}))
        field = "" if old is None else old.field  # "": of whatever field the stream has
        if old is None or old.parts is None:
            return self.move(stream, value, f"manual:{by}", field, None, old.parents if old else None)
        at = value if value.isdigit() else clock.to_text(clock.parse(value))  # in the form that readers compare
        if part is not None:
            return self.move(stream, old.value, f"manual:{by}", field, {**old.parts, part: at}, old.parents)
        parts = {name: min(known, at) if action == "cursor_rewound" else at for name, known in old.parts.items()}
        return self.move(stream, value, f"manual:{by}", field, parts, min(old.parents, at) if old.parents else None)

    def _position(self, stream: str, value: str, scale: Scale) -> Any:
        """`value` as something that can be compared."""
        if scale == "time":
            moment: datetime = clock.parse(value)
            if moment > clock.now() + _SKEW:
                raise self._refused(stream, f"{value} lies in the future", "Records before it would never be read")
            return moment
        if scale == "number":
            try:
                return int(value)
            except ValueError as error:
                raise self._refused(stream, f"{value!r} is not a whole number", "Write it in digits") from error
        if not value:
            raise self._refused(stream, "the value is empty", "Delete the Variable to read everything again")
        return value

    def _refused(self, stream: str, why: str, hint: str) -> ConfigError:
        return ConfigError(f"Cursor not moved: {why}", hint=hint, connection=self.connection_id, stream=stream)
