"""What Salesforce's own error codes mean for us.

Facts: developer.salesforce.com, REST API Developer Guide ("Status Codes and Error Responses"), SOAP API Developer Guide ("API Fault
Element"), Bulk API 2.0 Developer Guide ("Errors").
"""

from __future__ import annotations

import re

import orjson

from spine.core.errors import AuthFailed, RateLimited, SchemaMismatch, SourceRejected, SourceUnavailable
from spine.http.limits import wait_of
from spine.http.transport import Response

LIMIT_PAUSE = 900.0  # seconds; the daily limit is a rolling one, so that calls come back little by little
_CONCURRENT_PAUSE = 20.0  # calls count as concurrent that run for longer than that
_NO_FIELD = re.compile(r"(?:No such column|Didn't understand relationship) '([A-Za-z0-9_.]+)'")
_NO_OBJECT = re.compile(r"sObject type '[A-Za-z0-9_]+' is not supported", re.IGNORECASE)
_RETRIED = ("UNABLE_TO_LOCK_ROW", "API_CURRENTLY_DISABLED")
_NO_RIGHTS = ("API_DISABLED_FOR_ORG", "INSUFFICIENT_ACCESS", "FUNCTIONALITY_NOT_ENABLED", "USER_BLOCKED")
_ABSENT = (404, 405, 410, 501)  # statuses of an address that an account does not have
TIMEOUT, EXPIRED, ABSENT = "query timeout", "locator expired", "not there"


def reason_of(error: SourceRejected) -> str:
    """Which of the refusals that a reading can get around it is: TIMEOUT, EXPIRED, ABSENT, or nothing."""
    return str(error.where.get("reason", ""))


def raise_in_its_words(response: Response) -> None:
    """Raise our error for Salesforce's own error code, if we know it; the client adds its words."""
    code, message = _said(response)
    if code == "REQUEST_LIMIT_EXCEEDED":
        raise _limit(message, wait_of(response.headers))
    if code == "QUERY_TIMEOUT":
        raise SourceRejected("the query took too long", hint="The object may need an index on its cursor", reason=TIMEOUT)
    if code == "INVALID_QUERY_LOCATOR":
        raise SourceRejected("the query locator has expired", reason=EXPIRED)
    raise_of_query(message)
    if code == "INVALID_TYPE":
        raise _no_object()
    if code in _RETRIED and response.status < 500:
        raise SourceUnavailable(f"the source failed ({code})", retry_after=wait_of(response.headers))
    if code in _NO_RIGHTS:
        raise AuthFailed(f"the connected user may not do that ({code})", hint="Check the user's profile and the connected app")
    if response.status in _ABSENT:
        raise SourceRejected(f"{response.place} answered {response.status}", hint="Check the Connection's host", reason=ABSENT)


def raise_of_query(message: str) -> None:
    """Raise our error for what Salesforce says of a query's field or object, under whatever code it says so: jobs have one for all."""
    if (lost := _NO_FIELD.search(message)) is not None:
        raise SourceRejected(f"there is no field {lost[1]}", hint="Adapt `fields` in the source's file", field=lost[1])
    if _NO_OBJECT.search(message):
        raise _no_object()


def _said(response: Response) -> tuple[str, str]:
    """Code and message of the first mistake, empty where the answer has none."""
    try:
        mistakes = orjson.loads(response.body)
        first = mistakes[0] if isinstance(mistakes, list) else mistakes
        return str(first.get("errorCode", "")), str(first.get("message", ""))
    except (orjson.JSONDecodeError, IndexError, AttributeError):
        return "", ""


def _no_object() -> SchemaMismatch:
    return SchemaMismatch("the object does not exist or may not be read", hint="Check the rights of the connected user")


def _limit(message: str, asked: float | None) -> RateLimited:
    """The daily limit comes back over hours; that of calls at one time as soon as others end."""
    if "concurrent" in message.lower():
        wait = _CONCURRENT_PAUSE if asked is None else asked
        return RateLimited("too many calls of the organisation run at one time", retry_after=wait)
    wait = LIMIT_PAUSE if asked is None else asked
    return RateLimited("the organisation's daily calls are used up", retry_after=wait)
