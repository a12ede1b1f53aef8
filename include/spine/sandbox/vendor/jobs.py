"""The jobs that were ordered from a vendor."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from spine.core.placeholders import alone, names_in
from spine.sandbox.vendor.calls import Answer, NotCovered
from spine.sandbox.vendor.writing import put, reached
from spine.sources.spec import Asking, Job, Stream

_WAITING = "still at work"
Address = Callable[[str, Stream, dict[str, Any]], str]


@dataclass
class Ordered:
    """A job: what was ordered, what the vendor calls it, how often it was asked after, and whether it was cancelled."""

    stream: Stream
    names: dict[str, Any]
    told: dict[str, Any]
    polls: int = 0
    ends: str = ""
    cancelled: bool = False


@dataclass
class JobDesk:
    """All jobs of a vendor. `patience` is how often one is asked after before it is done; `ending` another end than that."""

    address: Address
    jobs: list[Ordered] = field(default_factory=list)
    keys: dict[str, Ordered] = field(default_factory=dict)
    patience: int = 1
    ending: str = ""

    def create(self, stream: Stream, job: Job, names: Mapping[str, Any]) -> Answer:
        """Take an order; one that has the key of another is that one."""
        key = names.get("job.key")
        found = self.keys.get(str(key)) if key else None
        if found is None:
            found = Ordered(stream, dict(names), {}, ends=self.ending)
            self.jobs.append(found)
            if key:
                self.keys[str(key)] = found
            self._name(found, job)
        content: Any = {}
        for path, value in found.told.items():
            content = reached(content, path, value) if path != "location" else content
        headers = {"Location": found.told["location"]} if "location" in found.told else {}
        return Answer.of(content, 201, **headers)

    def _name(self, found: Ordered, job: Job) -> None:
        """Give the job what the file's requests name of it."""
        number = len(self.jobs)
        for kind, asking in self._asks(found.stream, job):
            for name in names_in(_said(asking)):
                if name.startswith("job.") and name != "job.key":
                    path = name.removeprefix("job.")
                    given = alone(asking.path) and asking.path[1:-1] == name
                    telling = self.address(kind, found.stream, {**found.names, "job.number": number}) if given else f"j{number}"
                    if given or path not in found.told:
                        found.told[path] = telling

    @staticmethod
    def _asks(stream: Stream, job: Job) -> Iterator[tuple[str, Asking]]:
        yield "read", stream
        if job.cancel is not None:
            yield "cancel", job.cancel
        yield "poll", job.poll

    def of(self, stream: Stream, names: Mapping[str, Any]) -> Ordered:
        """The job that a call is about. Raises KeyError."""
        if "job.number" in names:
            return self.jobs[int(names["job.number"]) - 1]
        for found in self.jobs:
            known = {f"job.{path}": value for path, value in found.told.items()}
            if found.stream.name == stream.name and any(names.get(name) == value for name, value in known.items()):
                return found
        raise KeyError(stream.name)

    def poll(self, found: Ordered, job: Job) -> Answer:
        """How a job is."""
        found.polls += 1
        state = found.ends or (job.done[0] if found.polls > self.patience else _WAITING)
        content = put(job.status, {path: value for path, value in found.told.items() if "." not in path and path != "location"}, state)
        if state == job.done[0] and job.files is not None:
            content = self._files(found, job, content)
        return Answer.of(content)

    def _files(self, found: Ordered, job: Job, content: Any) -> Any:
        urls = [
            self.address("file", found.stream, {**found.names, "job.number": self.jobs.index(found) + 1, "file": part}) for part in (0, 1)
        ]
        try:
            return put(str(job.files), content, urls)
        except NotCovered:
            one = self.address("file", found.stream, {**found.names, "job.number": self.jobs.index(found) + 1, "file": None})
            return put(str(job.files), content, one)


def _said(asking: Asking) -> Any:
    return asking.model_dump(include={"path", "host", "params", "headers", "body"}, exclude_none=True)
