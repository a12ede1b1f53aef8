"""What each declared source can do and what it is made of, computed from its file: the matrix, the estimate, the page of connectors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal

import spine.sources.custom
from spine.core.settings import settings
from spine.sources.check import readable_sources
from spine.sources.spec import Source, Stream

Approach = Literal["generic", "protocol", "hybrid", "custom"]
EFFORT: dict[str, str] = {
    "generic": "1-2 hours (config only)",
    "protocol": "1-2 hours (config only)",
    "hybrid": "1-2 days (config, and a class for the odd step)",
    "custom": "3-5 days (custom implementation)",
}
_MEANING: dict[str, str] = {
    "generic": "YAML alone: requests, paging, authentication and records in words",
    "protocol": "YAML alone, for a reader of what is no HTTP: files, databases",
    "hybrid": "YAML, and a class that replaces one step of reading",
    "custom": "YAML, and a reader of its own for an API that is odd altogether",
}


@dataclass(frozen=True)
class Facts:
    """One source; lines are those with something on them."""

    source: str
    label: str
    approach: Approach
    kind: str
    streams: int
    auth: tuple[str, ...]
    paging: tuple[str, ...]
    incremental: int
    deletes: tuple[str, ...]
    entities: tuple[str, ...]
    config_lines: int
    code_lines: int


def approach_of(source: Source) -> Approach:
    """How a source is read: by words alone, with a class for one step, or by a reader of its own."""
    if source.kind in ("custom", "hybrid"):
        return "custom"
    if source.kind != "generic":
        return "protocol"
    return "hybrid" if source.reader else "generic"


def facts_of(source: Source) -> Facts:
    """What a source can do."""
    auths = [source.auth, *source.other_auths.values(), *(stream.auth for stream in source.streams if stream.auth)]
    pagings = [asked.paging.type for stream in source.streams for asked in (stream, stream.later) if asked is not None]
    return Facts(
        source=source.source,
        label=source.label,
        approach=approach_of(source),
        kind=source.kind,
        streams=len(source.streams),
        auth=_distinct(auth.type for auth in auths),
        paging=_distinct(kind for kind in pagings if kind != "none"),
        incremental=sum(_is_incremental(source, stream) for stream in source.streams),
        deletes=_distinct(stream.deletes.detect for stream in source.streams if stream.deletes.detect != "none"),
        entities=source.entities,
        config_lines=lines_of(settings().sources / f"{source.source}.yaml"),
        code_lines=_code_lines(source),
    )


def all_facts() -> list[Facts]:
    """The facts of every source whose file can be read, by name."""
    return [facts_of(source) for source in readable_sources()]


def matrix() -> list[dict[str, Any]]:
    """The groups of sources: what each means, how its sources are read, and the lines that one has, at the median."""
    rows = []
    facts = all_facts()
    for approach, meaning in _MEANING.items():
        group = [one for one in facts if one.approach == approach]
        rows.append({
            "approach": approach, "meaning": meaning, "sources": [one.source for one in group],
            "config_lines": int(median(one.config_lines for one in group)) if group else 0,
            "code_lines": int(median(one.code_lines for one in group)) if group else 0,
            "dev_effort": EFFORT[approach],
        })  # fmt: skip
    return rows


def estimate(name: str) -> dict[str, Any]:
    """What a source costs: one that is there as it is, another one as those of its group, which somebody has to find out first."""
    found = next((one for one in all_facts() if one.source == name), None)
    if found is not None:
        return {"source": name, "approach": found.approach, "config_lines": found.config_lines, "code_lines": found.code_lines,
                "dev_effort": EFFORT[found.approach], "recommendation": "It is there"}  # fmt: skip
    usual = next(row for row in matrix() if row["approach"] == "generic")
    return {
        "source": name, "approach": "unknown - requires analysis", "config_lines": usual["config_lines"], "code_lines": 0,
        "dev_effort": EFFORT["generic"],
        "recommendation": f"Try a generic source first: spine sources new {name}, from a description in OpenAPI or a manifest",
    }  # fmt: skip


def lines_of(path: Path) -> int:
    """Lines of a file that are neither empty nor a remark."""
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    return sum(bool(line) and not line.startswith("#") for line in lines)


def _code_lines(source: Source) -> int:
    """Lines of the module that reads it, nothing where the general readers do."""
    if approach_of(source) not in ("custom", "hybrid"):
        return 0
    place = Path(next(iter(spine.sources.custom.__path__))) / (source.reader or source.source)
    return sum(lines_of(path) for path in (place.with_suffix(".py"), *place.glob("*.py")) if path.is_file())


def _is_incremental(source: Source, stream: Stream) -> bool:
    return stream.cursor is not None or stream.changes is not None or source.kind == "files"


def _distinct(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(words))
