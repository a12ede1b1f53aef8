"""A source's file while a converter writes it: its content, remarks at places of it, and what did not convert and why.

What comes out is judged by the same checks as any other file: a stream that they refuse leaves the draft and is told with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from spine.core.errors import ConfigError
from spine.sources.check import mistakes_of
from spine.sources.spec import RESERVED, load_source
from spine.sources.tools.writing import written_source

Place = tuple[str | int, ...]
_MOST_ROUNDS = 400


@dataclass(frozen=True)
class Remark:
    """What did not convert: the line of the description, the stream (empty: the whole source), and the reason.

    `kind` is a reason that many share, for counting. `lost`: without it the stream would read something else, so it was left out.
    """

    line: int
    stream: str
    kind: str
    what: str
    lost: bool = True

    def __str__(self) -> str:
        where = f"line {self.line}: " if self.line else ""
        return f"{where}{f'{self.stream}: ' if self.stream else ''}{self.what}"


class Untold(Exception):
    """A part of a description that our language has no words for; `kind` is the reason that others share."""

    def __init__(self, kind: str, what: str = "", line: int = 0) -> None:
        super().__init__(what or kind)
        self.kind, self.what, self.line = kind, what or kind, line


@dataclass
class Draft:
    """A file in the making. `doubts` are guesses, by the place that they are about; each becomes a comment above it.

    Doubts about a stream name it in the second step of their place, since its number may still change.
    """

    name: str
    head: dict[str, Any] = field(default_factory=dict)
    streams: list[dict[str, Any]] = field(default_factory=list)
    doubts: dict[Place, list[str]] = field(default_factory=dict)
    remarks: list[Remark] = field(default_factory=list)

    def doubt(self, place: Place, text: str) -> None:
        """Mark what stands at a place as a guess."""
        said = self.doubts.setdefault(place, [])
        if text not in said:
            said.append(text)

    def remark(self, line: int, stream: str, kind: str, what: str = "", *, lost: bool = True) -> None:
        """Note what did not convert."""
        found = Remark(line, stream, kind, what or kind, lost)
        if found not in self.remarks:
            self.remarks.append(found)

    def text(self) -> str:
        """The file."""
        numbers = {stream["name"]: number for number, stream in enumerate(self.streams)}
        notes = {
            (at[0], numbers[at[1]], *at[2:]) if at[:1] == ("streams",) and len(at) > 1 else at: said
            for at, said in self.doubts.items()
            if at[:1] != ("streams",) or len(at) == 1 or at[1] in numbers
        }
        return written_source({**self.head, "streams": self.streams}, notes)

    def settle(self) -> None:
        """Leave out streams that the checks refuse, and those whose parents are gone, until the file is sound.

        Raises ConfigError if the source itself is refused.
        """
        for _ in range(_MOST_ROUNDS):
            refused = self._refused() if self.streams else {}
            if not refused:
                break
            for name, why in refused.items():
                self.leave_out(name, "refused by the checks", why)

    def require_streams(self) -> None:
        """Raise ConfigError, with the reasons, if nothing is left that could be written."""
        if not self.streams:
            why = "; ".join(dict.fromkeys(str(remark) for remark in self.remarks if remark.lost)) or "it has no stream"
            raise ConfigError(f"nothing of it converts: {why[:600]}", hint="Write the file by hand, from docs/sources.md")

    def leave_out(self, name: str, kind: str, why: str, line: int = 0) -> None:
        """Take a stream out, and what is below it, with the reason."""
        if not any(stream["name"] == name for stream in self.streams):
            return
        self.streams = [stream for stream in self.streams if stream["name"] != name]
        self.remark(line, name, kind, why)
        for child in [one["name"] for one in self.streams if name in read_before(one)]:
            self.leave_out(child, "its parent did not convert", f"its parent {name} did not convert")

    def _refused(self) -> dict[str, str]:
        """Streams with which something is wrong, and what."""
        found: dict[str, str] = {}
        for place, why in self._mistakes():
            if len(place) > 1 and place[0] == "streams" and str(place[1]).isdigit():
                stream = self.streams[int(place[1])]["name"]
                found.setdefault(stream, f"{'.'.join(map(str, place[2:]))}: {why}".strip(": "))
            else:
                raise ConfigError(f"{'.'.join(map(str, place)) or 'the file'}: {why}", hint="Write the file by hand, from docs/sources.md")
        return found

    def _mistakes(self) -> Iterator[tuple[Place, str]]:
        with TemporaryDirectory() as folder:
            path = Path(folder) / f"{self.name}.yaml"
            path.write_text(self.text(), encoding="utf-8")
            try:
                source = load_source(self.name, Path(folder))
            except ConfigError as error:
                for mistake in error.mistakes:
                    yield tuple(mistake.field.split(".")), mistake.what
                if not error.mistakes:
                    raise
                return
            yield from mistakes_of(source)


def read_before(stream: dict[str, Any]) -> list[str]:
    """The streams that a stream needs: its parent, and those whose records have values that it is read for."""
    needed = [stream.get("parent", {}).get("stream"), *(one.get("stream") for one in stream.get("partitions", {}).values())]
    return [name for name in needed if name]


def word(text: str, taken: set[str] | frozenset[str] = frozenset()) -> str:
    """A name of our language for any text, one that is not taken."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text)
    plain = re.sub(r"[^a-z0-9]+", "_", spaced.lower()).strip("_")[:50].strip("_") or "stream"
    plain = plain if plain[0].isalpha() else f"n{plain}"
    number, found = 1, plain
    while found in taken:
        number += 1
        found = f"{plain}_{number}"
    return found


def placeholder(name: str) -> str:
    """The placeholder of a name."""
    return f"{{{name}}}"


def variable_word(text: str) -> str:
    """A name for a variable, which is none of those that placeholders have already."""
    found = word(text)
    return f"{found}_value" if found in RESERVED else found
