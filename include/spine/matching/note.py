"""The note beside a CLUSTERS file: from which inputs it was made and as which run, so that the next run knows whether anything changed.

A note speaks of one content of CLUSTERS. Where that content was replaced by somebody else, the note counts as absent.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from spine.core.entities import MatchRules
from spine.identity.learning.model import ENGINE
from spine.matching.files import replacing
from spine.matching.records import Records, content, content_of_rules
from spine.matching.request import MatchRequest


def beside(clusters: Path, what: str) -> Path:
    """`<CLUSTERS>.<what>`."""
    return clusters.with_name(f"{clusters.name}.{what}")


def inputs(records: Records, rules: Path | MatchRules, threshold: float) -> dict[str, Any]:
    """What the clusters depend on: the contents of records and rules, the threshold, the engine. Empty for what is absent."""
    return {"records": records.content(), "rules": content_of_rules(rules), "threshold": threshold, "engine": ENGINE}


@dataclass(frozen=True)
class Note:
    """`run` numbers the runs of a line of clusters from 1; `known` is the note of the run before, if it made these very clusters.

    `doubt` tells of a note that is there and speaks of others.
    """

    run: int
    inputs: dict[str, Any]
    known: dict[str, Any] | None = None
    doubt: str | None = None

    @classmethod
    def first(cls, inputs: dict[str, Any]) -> Note:
        """The note of a run that goes on from nothing."""
        return cls(1, inputs)

    @classmethod
    def after(cls, clusters: Path, inputs: dict[str, Any]) -> Note:
        """The note of a run that goes on from `clusters`."""
        seen, doubt = content(clusters), None
        try:
            known = orjson.loads(beside(clusters, "run.json").read_bytes())
            if known["clusters"] == seen:
                return cls(known["run"] + 1, inputs, known)
            doubt = f"{clusters.name} is not as its run left it, cut short or changed: ids that are not in it are lost"
        except (OSError, ValueError, KeyError, TypeError):
            pass  # no note of ours: any number will do that no earlier run of these clusters had
        return cls(int(seen[:12], 16), inputs, None, doubt)

    def unchanged(self, request: MatchRequest) -> bool:
        """Whether the former clusters were made from the same inputs, and the other outputs are there as that run left them."""
        if self.known is None or self.known["inputs"] != self.inputs:
            return False
        return all(self.known["files"].get(name) == seen for name, seen in _files(request).items())

    def write(self, request: MatchRequest, clusters: str) -> None:
        """Put the note beside the clusters, whole or not at all; `clusters` is their `content`."""
        run = self.known["run"] if self.known and self.known["inputs"] == self.inputs else self.run
        told = {"run": run, "inputs": self.inputs, "clusters": clusters, "files": _files(request)}
        with replacing(beside(request.output, "run.json")) as partial:
            partial.write_bytes(orjson.dumps(told, option=orjson.OPT_INDENT_2))


def _files(request: MatchRequest) -> dict[str, Any]:
    """Size and time of the outputs besides the clusters, None for one that is absent."""
    found: dict[str, Any] = {}
    for path in (request.matches, request.report):
        if path:
            found[str(path.resolve())] = [path.stat().st_size, path.stat().st_mtime_ns] if path.is_file() else None
    return found
