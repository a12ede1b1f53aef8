"""What an answer's headers say about the source's limit: is it spent, and how long is there to wait?

Retry-After is RFC 9110; the others have no standard that all follow: `RateLimit` of the IETF draft in its two forms, and the many
spellings of `X-RateLimit-Remaining` and `X-RateLimit-Reset`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from spine.core import clock

LONGEST = 86_400.0  # seconds; whatever a source says, it is asked again after a day
_EPOCH = 10**9  # a reset beyond that is a moment and no duration
_DRAFT_REMAINING = re.compile(r"(?:^|[;,\s])(?:remaining|r)=0(?![0-9])")
_DRAFT_RESET = re.compile(r"(?:^|[;,\s])(?:reset|t)=(\d+)")


def wait_of(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds to wait, by Retry-After, or by the reset of a limit that is spent; None where the headers do not say."""
    asked = parse_retry_after(_get(headers, "retry-after"), now)
    if asked is not None or not spent(headers):
        return asked
    resets = [_seconds(value, now) for name, value in _named(headers, "ratelimitreset")]
    resets += [float(found[1]) for name, value in _named(headers, "ratelimit") if (found := _DRAFT_RESET.search(value))]
    known = [seconds for seconds in resets if seconds is not None]
    return min(max(known), LONGEST) if known else None


def spent(headers: Mapping[str, str]) -> bool:
    """True if a header says that no call is left."""
    if any(re.fullmatch(r"\s*-?0+(\.0*)?\s*", value) for _, value in _named(headers, "ratelimitremaining")):
        return True
    return any(_DRAFT_REMAINING.search(value) for name, value in _named(headers, "ratelimit") if name == "ratelimit")


def parse_retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Seconds of a Retry-After header, given as seconds or as an HTTP date in any of its three forms (RFC 9110, 5.6.7).

    A date without a zone is UTC. None if absent or unreadable; never more than a day.
    """
    if not value:
        return None
    try:
        seconds = float(value)
        return min(max(0.0, seconds), LONGEST) if math.isfinite(seconds) else None
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(value)
        return _until(moment, now)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _until(moment: datetime, now: datetime | None) -> float:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return min(max(0.0, (aware - (now or clock.now())).total_seconds()), LONGEST)


def _seconds(value: str, now: datetime | None) -> float | None:
    """A reset: seconds from now, or a moment in seconds or milliseconds since 1970, or a date."""
    try:
        number = float(value)
    except ValueError:
        return parse_retry_after(value, now)
    if not math.isfinite(number):
        return None
    if number < _EPOCH:
        return max(0.0, number)
    seconds = number / 1000 if number > 100 * _EPOCH else number
    return max(0.0, seconds - (now or clock.now()).timestamp())


def _get(headers: Mapping[str, str], name: str) -> str | None:
    return next((value for key, value in headers.items() if key.lower() == name), None)


def _named(headers: Mapping[str, str], part: str) -> Iterator[tuple[str, str]]:
    for key, value in headers.items():
        name = key.lower().replace("-", "").replace("_", "")
        if part in name:
            yield name, value
