"""What a person asks of `spine match`: records, rules, outputs, and how to go about it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from spine.core.entities import MatchRules
from spine.core.errors import ConfigError
from spine.matching import files

Engine = Literal["auto", "local", "spark"]


@dataclass(frozen=True)
class MatchRequest:
    """What to match, by which rules, and where the results go. `threshold` (a probability, inclusive) stands above that of the rules.

    With `previous`, only what changed is matched, by the weights of then, unless `relearn` asks for new ones; Spark always matches and
    learns anew, and the ids live on. `keep_state` leaves beside the clusters what the next such run needs (about half a gigabyte for a
    million records).
    """

    records: Path
    rules: Path
    output: Path
    matches: Path | None = None
    report: Path | None = None
    threshold: float | None = None
    previous: Path | None = None
    engine: Engine = "auto"
    relearn: bool = False
    keep_state: bool = True

    def limit(self, rules: MatchRules) -> float:
        """The threshold that holds."""
        return rules.threshold if self.threshold is None else self.threshold

    def check(self) -> None:
        """Raises ConfigError for an output that cannot be written or would overwrite an input."""
        files.require_output(self.output)
        if self.matches:
            files.require_output(self.matches)
        if self.report:
            files.require_file(self.report)
        if self.threshold is not None and not 0.5 <= self.threshold <= 1:
            raise ConfigError(f"threshold {self.threshold} is no probability between 0.5 and 1", hint="The default is 0.85")
        outputs = [path.resolve() for path in (self.output, self.matches, self.report) if path]
        taken = {self.records.resolve(), self.rules.resolve()}
        clash = next((path for number, path in enumerate(outputs) if path in taken or path in outputs[:number]), None)
        if clash:
            raise ConfigError(f"{clash} is named twice", hint="Give every input and output a file of its own")
