"""What is known of folders: which messages were read, under which UIDVALIDITY. As JSON it is the cursor and each page's token. No I/O.

A UID means a message for as long as the folder's UIDVALIDITY stays (RFC 3501, 2.3.1.1); it is never given to another one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import orjson

from spine.core.errors import ConfigError

Numbers = Any  # arrays of int64; numpy is not followed by the type checker
NONE: Any = np.empty(0, np.int64)


@dataclass
class Folder:
    """One folder: `known` are the UIDs that were read and were still there, `following` is the first that was not asked for.

    `marked` is up to which change of flags it was read (RFC 7162), `marking` up to which it is being read, `reached` the last UID of those.
    """

    validity: int
    following: int = 1
    known: Numbers = field(default_factory=lambda: NONE)
    marked: int | None = None
    marking: int | None = None
    reached: int = 0

    def read(self, uids: Numbers) -> None:
        """These are known now; of those that were known before, the last one says how far changes are read."""
        fresh, again = uids[uids >= self.following], uids[uids < self.following]
        self.known = np.concatenate((self.known, fresh))
        self.following = int(fresh[-1]) + 1 if fresh.size else self.following
        self.reached = int(again[-1]) if again.size else self.reached

    def told(self) -> dict[str, Any]:
        """As JSON has it."""
        found = {"validity": self.validity, "next": self.following, "known": ranges(self.known)}
        marks = {"marked": self.marked, "marking": self.marking, "reached": self.reached or None}
        return found | {name: value for name, value in marks.items() if value is not None}


@dataclass
class Known:
    """What is known of all folders. `former` are those whose UIDs mean nothing any more; `since` is where the first read began."""

    folders: dict[str, Folder] = field(default_factory=dict)
    former: list[tuple[str, Folder]] = field(default_factory=list)
    since: str | None = None

    @classmethod
    def parse(cls, text: str | None) -> Known:
        """What a token or cursor says. Raises ConfigError for what somebody else has left there."""
        if not text:
            return cls()
        try:
            told = orjson.loads(text)
            folders = {str(name): _folder(one) for name, one in told["folders"].items()}
            return cls(folders, [(str(name), _folder(one)) for name, one in told.get("former", ())], told.get("since"))
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise ConfigError("the cursor is no list of folders", hint='Write {"folders": {}} to read all folders again') from error

    def told(self) -> str:
        """As JSON, which `parse` reads."""
        found: dict[str, Any] = {"folders": {name: one.told() for name, one in self.folders.items()}}
        found |= {"former": [[name, one.told()] for name, one in self.former]} if self.former else {}
        found |= {"since": self.since} if self.since else {}
        return orjson.dumps(found, option=orjson.OPT_SORT_KEYS).decode()


def _folder(told: Any) -> Folder:
    return Folder(
        int(told["validity"]), int(told["next"]), numbers(str(told["known"])), told.get("marked"), told.get("marking"),
        int(told.get("reached") or 0),
    )  # fmt: skip


def ranges(uids: Numbers) -> str:
    """Numbers that grow as IMAP writes sets of them: 1:4,9."""
    if not uids.size:
        return ""
    ends = [0, *(np.flatnonzero(np.diff(uids) > 1) + 1).tolist(), uids.size]
    parts = [(int(uids[start]), int(uids[end - 1])) for start, end in pairwise(ends)]
    return ",".join(str(first) if first == last else f"{first}:{last}" for first, last in parts)


def numbers(text: str) -> Numbers:
    """The numbers of a set. Raises ValueError for what is none."""
    parts = [tuple(map(int, part.split(":"))) for part in text.split(",") if part]
    return np.concatenate([NONE, *(np.arange(part[0], part[-1] + 1, dtype=np.int64) for part in parts)])
