"""Asks one account of Salesforce for the records of a stream, and learns on the way what it has, may read and can bear.

Facts: developer.salesforce.com, REST API Developer Guide ("Query Options Header": batches of 200 to 2,000 records, "Limit Info Header",
"sObject Describe").
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from spine.core.errors import ConfigError, RateLimited, SchemaMismatch, SourceRejected, SourceUnavailable
from spine.core.screen import logger
from spine.http.client import Client
from spine.http.transport import Response
from spine.sources.custom.salesforce.bulk import Bulk
from spine.sources.custom.salesforce.faults import LIMIT_PAUSE, TIMEOUT, raise_in_its_words, reason_of
from spine.sources.custom.salesforce.fields import Fields
from spine.sources.custom.salesforce.service import Service
from spine.sources.custom.salesforce.soql import Place, object_of, soql
from spine.sources.reading import Window
from spine.sources.spec import Source, Stream

_log = logger(__name__)
VERSION = "61.0"  # Summer '24
BULK_FROM = 20_000  # records; as many take ten pages of a query, and about as many calls as a job
_LEAST_BATCH = 200
_VERSION = re.compile(r"\d{2,3}(\.0)?", re.ASCII)
_LONGEST = 12_000  # letters of a query that goes into an address; the vendor takes 16,088 of a whole one


@dataclass
class Account:
    """One account, and what is known of it. `used` is the share of the account's daily calls that are gone, as the last answer said.

    `values` are those of the source's variables: `api_version`, from how many records on a job is ordered (`bulk_from`, 0 for never), and
    the further `objects` that are read.
    """

    source: Source
    client: Client
    values: Mapping[str, Any] = field(default_factory=dict)
    used: float = 0.0
    _lost: dict[str, set[str]] = field(default_factory=dict)
    _sizes: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.client.inspect = self._inspect
        said = str(self.values.get("api_version") or VERSION).lower().removeprefix("v")
        if not _VERSION.fullmatch(said):
            raise ConfigError("`api_version` of the Connection's extra is no version", hint="Write it as 61.0, or leave it out")
        self.service = Service(self.client, f"{float(said):.1f}")
        self.bulk_from = int(self.values.get("bulk_from", BULK_FROM))

    @cached_property
    def fields(self) -> Fields:
        """What the account's objects have."""
        return Fields(self.service)

    @cached_property
    def bulk(self) -> Bulk:
        """The account's query jobs."""
        return Bulk(self.service, self.fields)

    def lost(self, stream: Stream) -> set[str]:
        """The fields of a stream's file that are not there or may not be read, as far as that is known."""
        return self._lost.setdefault(stream.name, set())

    def asked(self, stream: Stream) -> list[str]:
        """The fields that a query asks for."""
        fields = stream.fields or self.fields.readable(object_of(stream))
        return [item for item in fields if item not in self.lost(stream)]

    def takes(self, stream: Stream) -> bool:
        """Whether a job could read the stream: its types are known, and no field is compound."""
        name = object_of(stream)
        return bool(self.bulk_from and not stream.path and self.fields.of(name)) and not self.fields.compound(name, self.asked(stream))

    def long(self, stream: Stream, window: Window) -> bool:
        """Whether a query of the stream is too long for an address."""
        return len(soql(stream, self.asked(stream), window, Place())) > _LONGEST

    def order(self, stream: Stream, window: Window) -> str:
        """Order a bulk job for the stream's records in the window; its id."""
        while True:
            self.respect_share()
            try:
                return self.bulk.order(soql(stream, self.asked(stream), window, Place(), ordered=False))
            except SourceRejected as error:
                self.forget(stream, error)

    def ask(self, stream: Stream, window: Window, place: Place) -> Any:
        """The answer to the query at a place. One that takes the source too long is asked again for ever smaller batches."""
        while True:
            self.respect_share()
            size = self._sizes.get(stream.name, stream.paging.size)
            headers = {"Sforce-Query-Options": f"batchSize={size}"}
            try:
                if place.locator is not None:
                    answer = self.service.more(place.locator, headers)
                else:
                    answer = self.service.query(soql(stream, self.asked(stream), window, place), headers, stream.path)
            except SourceRejected as error:
                if reason_of(error) == TIMEOUT:
                    self._sizes[stream.name] = self._smaller(size, error)
                elif place.locator is None:
                    self.forget(stream, error)
                else:
                    raise
                continue
            if answer is not None and not isinstance(answer, dict):
                raise SchemaMismatch("the answer is no query result", stream=stream.name)
            return answer

    @staticmethod
    def _smaller(size: int, error: SourceRejected) -> int:
        if size <= _LEAST_BATCH:
            raise SourceUnavailable(error.message, hint="The object may need an index on its cursor") from error
        return max(_LEAST_BATCH, size // 2)

    def forget(self, stream: Stream, error: SourceRejected) -> None:
        """Go on without optional fields that are not there, or that the user may not read. Raises SchemaMismatch for a required one, else
        the error. One refusal names one field only; all others are found by the describe.
        """
        name = str(error.where.get("field")).lower()
        wanted = [item for item in self.asked(stream) if _names(item, name)]
        if not wanted:
            raise error
        wanted = list(dict.fromkeys([*wanted, *self.fields.absent(object_of(stream), self.asked(stream))]))
        flag = (stream.deletes.field or "IsDeleted") if stream.deletes.detect == "flag" else None
        needed = {*stream.required_fields, *stream.key_fields, stream.cursor.field if stream.cursor else None, flag}
        if needed.intersection(wanted):
            raise SchemaMismatch(
                f"{stream.object} has no field {', '.join(item for item in wanted if item in needed)} any more",
                hint="Ask who changed the object or the rights on its fields, or adapt the source's file",
                stream=stream.name,
            ) from error
        _log.warning("%s: %s does not exist or may not be read and is left out", stream.name, ", ".join(wanted))
        self.lost(stream).update(wanted)

    def respect_share(self) -> None:
        """Raise RateLimited where the account's daily calls are used as far as the source's file lets us."""
        share = self.source.rate_limit.share
        if share < 1 and self.used >= share:
            self.client.bucket.pause(LIMIT_PAUSE)  # all streams of the account are told
            raise RateLimited(
                f"{self.used:.0%} of the organisation's daily calls are used; this connection stops at {share:.0%}",
                hint="`rate_limit.share` in the source's file is the limit",
                retry_after=LIMIT_PAUSE,
                **self.client.where,
            )

    def _inspect(self, response: Response) -> None:
        usage = re.search(r"api-usage=(\d{1,12})/(\d{1,12})(?!\d)", response.headers.get("sforce-limit-info", ""))
        if usage and int(usage[2]):
            self.used = int(usage[1]) / int(usage[2])
        if response.status >= 400 and response.status != 401:
            raise_in_its_words(response)


def _names(item: str, lost: str) -> bool:
    """Whether a field of ours is the lost one, whole, of a parent, or below a lost relationship."""
    own = item.lower()
    return own == lost or own.startswith(f"{lost}.") or ("." not in lost and own.endswith(f".{lost}"))
