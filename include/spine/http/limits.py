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

_UNKNOWN = 3600.0  # seconds of silence where a limit is nearly spent and nothing says when it comes back
_USED = re.compile(r"(?:^|[=\s])(\d{1,12})/(\d{1,12})(?:\Z|[;,\s])")
_DRAFT_PARTS = re.compile(r"limit=(\d{1,12})[;,\s]+remaining=(\d{1,12})")
LONGEST = 86_400.0  # seconds; whatever a source says, it is asked again after a day
_EPOCH = 10**9  # a reset beyond that is a moment and no duration
_DRAFT_REMAINING = re.compile(r"(?:^|[;,\s])(?:remaining|r)=0(?![0-9])")
_DRAFT_RESET = re.compile(r"(?:^|[;,\s])(?:reset|t)=(\d+)")


def wait_of(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds to wait, by Retry-After, or by the reset of a limit that is spent; None where the headers do not say."""
    asked = parse_retry_after(_get(headers, "retry-after"), now)
    if asked is not None or not spent(headers):
        return asked
    return reset_of(headers, now)


def reset_of(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds until the source's limits are whole again, of several the latest; None where it does not say."""
    resets = [_seconds(value, now) for name, value in _named(headers, "ratelimitreset")]
    resets += [float(found[1]) for name, value in _named(headers, "ratelimit") if (found := _DRAFT_RESET.search(value))]
    known = [seconds for seconds in resets if seconds is not None]
    return min(max(known), LONGEST) if known else None


def spent(headers: Mapping[str, str]) -> bool:
    """True if a header says that no call is left."""
    if any(re.fullmatch(r"\s*-?0+(\.0*)?\s*", value) for _, value in _named(headers, "ratelimitremaining")):
        return True
    return any(_DRAFT_REMAINING.search(value) for name, value in _named(headers, "ratelimit") if name == "ratelimit")


def left(headers: Mapping[str, str]) -> float | None:
    """The part of its limit that the source says is left, of several the smallest; None where it does not say.

    By a limit and what remains of it, in the spellings of `X-RateLimit-…` and the IETF's draft, or by `used/limit`, as in
    `X-Shopify-Shop-Api-Call-Limit: 32/40` and `Sforce-Limit-Info: api-usage=18/5000`.
    """
    parts = []
    for name, value in headers.items():
        plain = name.lower().replace("-", "").replace("_", "")
        if "ratelimit" in plain and plain.endswith("remaining"):
            whole = next((text for other, text in _named(headers, plain.removesuffix("remaining")) if other in _wholes(plain)), None)
            parts.append(_part(value, whole))
        elif "limit" in plain and (found := _USED.search(value)):
            parts.append(1 - _part(found[1], found[2]) if _part(found[1], found[2]) is not None else None)  # type: ignore[operator]
        elif plain == "ratelimit" and (found := _DRAFT_PARTS.search(value)):
            parts.append(_part(found[2], found[1]))
    known = [part for part in parts if part is not None]
    return max(0.0, min(known)) if known else None


def _wholes(remaining: str) -> tuple[str, str]:
    """What the whole limit is called beside what remains of it: `…limit` with or without the word."""
    stem = remaining.removesuffix("remaining")
    return f"{stem}limit", stem


def _part(some: str, whole: str | None) -> float | None:
    try:
        number, of = float(some), float(whole or "")
    except ValueError:
        return None
    return number / of if math.isfinite(number) and math.isfinite(of) and of > 0 else None


def silence_of(headers: Mapping[str, str], leave: float = 0.0) -> float | None:
    """Seconds for which an answer with success asks for silence: until a limit comes back of which no more than `leave` is left."""
    if spent(headers):
        return wait_of(headers)
    part = left(headers) if leave else None
    if part is None or part > leave:
        return None
    return reset_of(headers) or _UNKNOWN


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
