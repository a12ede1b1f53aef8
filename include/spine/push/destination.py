"""What a system has to be able to do to be written to. Each kind is a module of `destinations`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, ClassVar

from spine.control.pushes import Change, Op
from spine.core.errors import ConfigError
from spine.http.client import Client


@dataclass(frozen=True)
class Held:
    """A record as the system shows it: its id, the fields that were asked for, and its place in the order of changes if that is known."""

    id: str
    fields: Mapping[str, Any]
    cursor: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What the system said to one change: the id, or its code and words. What is `retryable` may pass another time as it is."""

    ok: bool
    id: str = ""
    code: str = ""
    message: str = ""
    retryable: bool = False


class Destination:
    """One object of one account. Use it within `with`.

    `most` changes go in one call of `send`. `folds`: keys that differ in letter case alone are one. `looks`: it can show what it holds.
    `whole`: looking costs next to nothing, so that what stands there is looked at before each write instead of being remembered.
    """

    most: int = 100
    folds: ClassVar[bool] = False
    looks: bool = True
    whole: ClassVar[bool] = False
    cleared: ClassVar[Any] = None  # what a field is given to be emptied

    def __enter__(self) -> Destination:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        return None

    def path(self, name: str) -> str:
        """Where a field is found in a record of the stream that reads this object."""
        return name

    def size(self, op: Op) -> int:
        """How many changes of one operation go in one call of `send`."""
        return self.most

    def clean(self, words: str) -> str:
        """What the system says of a record, as it may be kept and logged."""
        return words

    def look(self, changes: Sequence[Change]) -> dict[int, Held]:
        """What the system holds of these records, by the change's number; what is not there is left out. Raises ConnectorError."""
        raise NotImplementedError

    def send(self, changes: Sequence[Change]) -> list[Outcome]:
        """Write changes of one operation; an outcome for each. Raises ConnectorError where nobody knows what has arrived."""
        raise NotImplementedError

    def every(self) -> Iterator[list[Held]]:
        """All records that are there, for `overwrite`. Raises ConfigError where that cannot be known."""
        raise ConfigError("`overwrite` needs a system that shows all that it holds", hint="Choose another `operation`")


class OverHttp(Destination):
    """A system that is asked over HTTP, and may quote what it was sent."""

    _client: Client

    def clean(self, words: str) -> str:
        """Its words without our secrets and addresses of persons."""
        return self._client.clean(words)


def by_halves(
    changes: Sequence[Change], attempt: Callable[[Sequence[Change]], list[Outcome] | None], refused: Callable[[Change], Outcome]
) -> list[Outcome]:
    """The outcomes of a batch that is refused as a whole if one record of it is wrong: the halves are tried until that one is alone.

    `attempt` gives None for a batch that was refused, of which nothing has arrived.
    """
    found = attempt(changes)
    if found is not None:
        return found
    if len(changes) == 1:
        return [refused(changes[0])]
    half = len(changes) // 2
    return [*by_halves(changes[:half], attempt, refused), *by_halves(changes[half:], attempt, refused)]
