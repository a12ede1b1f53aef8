"""What HubSpot's refusals mean.

Facts: developers.hubspot.com, "API usage guidelines and limits" (429 and its policies), "Error handling".
"""

from __future__ import annotations

from spine.core.errors import RateLimited, SourceRejected
from spine.http.transport import Response

_DAILY_PAUSE = 3600.0  # seconds; the daily limit is reset at midnight of the account's time zone
_ROLLING_PAUSE = 10.0
_SECOND_PAUSE = 1.0
_PAUSES = {"DAILY": _DAILY_PAUSE, "TEN_SECONDLY": _ROLLING_PAUSE, "SECONDLY": _SECOND_PAUSE}  # by the policy that the answer names
_SHORT_TERM = ("short-term", _ROLLING_PAUSE)
_ABSENT = (404, 405, 410)
ABSENT, SCOPE = "not there", "no scope"


def absent(error: SourceRejected) -> bool:
    """Whether the account has nothing at an address."""
    return error.where.get("reason") == ABSENT


def scopeless(error: SourceRejected) -> bool:
    """Whether the token lacks a scope."""
    return error.where.get("reason") == SCOPE


def raise_in_its_words(response: Response) -> None:
    """Wait as long as the limit that was hit asks for, where the answer has no Retry-After; tell what is not there.

    A token that lacks a scope is good for other streams, so that it is not taken for one that is refused.
    """
    if response.status == 403 and b"MISSING_SCOPES" in response.body:
        raise SourceRejected("the token lacks a scope for this", hint="Add it to the app, or leave the stream out", reason=SCOPE)
    if response.status in _ABSENT:
        raise SourceRejected(f"{response.place} answered {response.status}", hint="Check path and rights of the account", reason=ABSENT)
    if response.status != 429 or response.headers.get("retry-after"):
        return
    kind, pause = next(((kind, pause) for kind, pause in _PAUSES.items() if kind.encode() in response.body.upper()), _SHORT_TERM)
    raise RateLimited(f"HubSpot's {kind.lower()} limit is used up", retry_after=pause)
