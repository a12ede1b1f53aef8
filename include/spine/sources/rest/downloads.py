"""Fetches the files that records refer to. What goes wrong with one is told in its record, and the others go on."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from spine.core.blobs import Keep
from spine.core.errors import AuthFailed, ConfigError, SourceRejected, SourceUnavailable
from spine.core.placeholders import Absent, alone, fill, fill_all
from spine.http.client import Client
from spine.http.rules import Restarted, Skipped
from spine.http.transport import Request, Response
from spine.sources.reading import flagged, lookup
from spine.sources.rest.requester import request_of
from spine.sources.rest.shaping import Out
from spine.sources.spec import Stream


@dataclass
class Downloads:
    """The files of one stream; `values` are what placeholders name besides the record. `failed` counts those that were not fetched."""

    stream: Stream
    client: Client
    keep: Keep | None
    failed: int = 0

    def beside(self, sent: Sequence[Any], shaped: Sequence[Any], values: Mapping[str, Any]) -> Sequence[Any]:
        """The shaped records, each with what became of its file; `sent` are the same as they came. Raises RateLimited, LakeError."""
        words = self.stream.download
        if words is None or self.keep is None:
            return shaped
        return [
            {**record, words.into: self._fetched(raw, values)} if self._meant(raw, record) else record
            for raw, record in zip(sent, shaped, strict=True)
        ]

    def notes(self) -> tuple[str, ...]:
        """What a person should know since the last time."""
        failed, self.failed = self.failed, 0
        return (f"{failed} files were not fetched: their records say why",) if failed else ()

    def _meant(self, raw: Any, record: Any) -> bool:
        deletes = self.stream.deletes
        gone = deletes.detect == "flag" and deletes.field and isinstance(record, dict) and flagged(lookup(record, deletes.field))
        return isinstance(raw, dict) and isinstance(record, dict) and not isinstance(record, Out) and not gone

    def _fetched(self, record: dict[str, Any], values: Mapping[str, Any]) -> dict[str, Any] | None:
        words = self.stream.download
        assert words is not None
        named = {**values, "item": record}
        try:
            fill_all({"path": words.path}, named)
        except Absent:
            return None
        try:
            # The error stays in the record, out of which `drop` takes an address that lets in whoever knows it.
            request = replace(request_of(words, named), answer="file", most=words.most, called="the file's address")
            whole = fill(words.path, named) if alone(words.path) else None
            request = replace(request, url=whole) if isinstance(whole, str) else request  # the client looks whether its host may be asked
            return self._kept(request, self.client.request(_accepting(request)))
        except (SourceRejected, SourceUnavailable, AuthFailed, ConfigError) as error:
            why = error.message
        except (Skipped, Restarted) as error:
            why = str(error)
        self.failed += 1
        return {"error": why}

    def _kept(self, request: Request, response: Response) -> dict[str, Any]:
        words = self.stream.download
        assert words is not None
        assert self.keep is not None
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower() or "application/octet-stream"
        if words.types and not any(fnmatchcase(kind, wanted.lower()) for wanted in words.types):
            raise SourceRejected(f"{response.place} is {kind[:100]}, which `types` does not list")
        file = response.file if response.file is not None else io.BytesIO(response.body)
        return {**asdict(self.keep(file)), "type": kind}


def _accepting(request: Request) -> Request:
    if any(name.lower() == "accept" for name in request.headers):
        return request
    return replace(request, headers={"Accept": "*/*", **request.headers})
