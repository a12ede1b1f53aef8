"""What a person asks of `spine match`: records, rules, outputs, and how to go about it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from spine.core.entities import MatchRules, load_match_rules
from spine.core.errors import ConfigError
from spine.identity.learning.growth import Relearn
from spine.matching import files
from spine.matching.records import Mapped, OneFile, Records

Engine = Literal["auto", "local", "spark"]


@dataclass(frozen=True)
class MatchRequest:
    """What to match, by which rules, and where the results go. `threshold` (a probability, inclusive) stands above that of the rules.

    `records` are a file whose columns are called as in the file `rules`, or sources whose columns are mapped, with their rules
    (`sources.mapped` gives both). `labels` are known to be, or not to be, one: the report shows how far they bear out the probabilities.

    With `previous`, only what changed is matched, by the weights of then, unless the records have outgrown them or `relearn` is `always`;
    Spark always matches and learns anew, and the ids live on. `keep_state` leaves beside the clusters what the next such run needs (about
    half a gigabyte for a million records).
    """

    records: Path | Mapped
    rules: Path | MatchRules
    output: Path
    matches: Path | None = None
    report: Path | None = None
    threshold: float | None = None
    previous: Path | None = None
    engine: Engine = "auto"
    relearn: Relearn = "auto"
    keep_state: bool = True
    labels: Path | None = None

    @property
    def source(self) -> Records:
        """Where the records come from."""
        return OneFile(self.records) if isinstance(self.records, Path) else self.records

    def declared(self) -> MatchRules:
        """The rules that hold. Raises ConfigError with file, line and field of each mistake."""
        return load_match_rules(self.rules) if isinstance(self.rules, Path) else self.rules

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
        if self.labels:
            files.kind_of(self.labels)
        if self.labels and not self.report:
            raise ConfigError("--labels needs --report, which shows what they say", hint="Add --report FILE.html")
        if self.threshold is not None and not 0.5 <= self.threshold <= 1:
            raise ConfigError(f"threshold {self.threshold} is no probability between 0.5 and 1", hint="The default is 0.85")
        outputs = [path.resolve() for path in (self.output, self.matches, self.report) if path]
        inputs = [*self.source.paths, *([self.rules] if isinstance(self.rules, Path) else []), *([self.labels] if self.labels else [])]
        taken = {path.resolve() for path in inputs}
        clash = next((path for number, path in enumerate(outputs) if path in taken or path in outputs[:number]), None)
        if clash:
            raise ConfigError(f"{clash} is named twice", hint="Give every input and output a file of its own")
