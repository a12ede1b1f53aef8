"""The partitions of a stream, in order: each is read by itself, from its own first page on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from spine.sources.rest.place import Part
from spine.sources.spec import Stream


def parts_of(stream: Stream, at: Any) -> Iterator[Part]:
    """The stream's partitions from the one with the key `at` on; None is the first."""
    yield Part()
