"""The store of small settings and cursors as the rest of the code sees it; Airflow's Variables behind it in production."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Variables(Protocol):
    """Named texts."""

    def get(self, key: str) -> str | None:
        """The text, or None if there is none. Raises ControlPlaneUnavailable if that cannot be known now."""
        ...

    def set(self, key: str, value: str) -> None:
        """Write the text."""
        ...

    def delete(self, key: str) -> None:
        """Remove the text; nothing happens if there is none."""
        ...

    def keys(self, prefix: str) -> Sequence[str]:
        """All names that start with `prefix`, sorted."""
        ...


class MemoryVariables:
    """Variables of one process, for tests and trials."""

    def __init__(self, values: dict[str, str] | None = None) -> None:
        self.values = dict(values or {})

    def get(self, key: str) -> str | None:
        """The text or None."""
        return self.values.get(key)

    def set(self, key: str, value: str) -> None:
        """Write the text."""
        self.values[key] = value

    def delete(self, key: str) -> None:
        """Remove the text."""
        self.values.pop(key, None)

    def keys(self, prefix: str) -> Sequence[str]:
        """Names with that prefix."""
        return sorted(key for key in self.values if key.startswith(prefix))
