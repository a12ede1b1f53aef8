"""Rules for answers that are no ordinary page: what the source's file says of them stands above what is usual."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import jmespath
from pydantic import BeforeValidator, Field, model_validator

from spine.core import clock
from spine.core.declarations import Strict
from spine.core.errors import AuthFailed, RateLimited, SourceRejected, SourceUnavailable
from spine.core.texts import JmesPath, Pattern
from spine.http.limits import LONGEST, wait_of
from spine.http.transport import Response

_LOOKED_AT = 65_536  # letters of an answer in which a text is searched
_UNIT = {"seconds": 1.0, "milliseconds": 0.001}


class Skipped(Exception):
    """A rule leaves out what was asked for; its text says why, without a word of the answer."""


class Restarted(Exception):
    """A rule has the reading of a partition begin anew from its first page. `most` is how often."""

    def __init__(self, why: str, most: int) -> None:
        super().__init__(why)
        self.most = most


class Expired(Restarted):
    """The source refuses the token that its changes are asked by; its text says so."""

    def __init__(self, why: str) -> None:
        super().__init__(why, 1)


class Wait(Strict):
    """The header of an answer that says when to ask again, where it is none of the usual ones.

    Example:
        header: X-Window-Reset
        unit: epoch
    """

    header: str = Field(description="Its name")
    unit: Literal["seconds", "milliseconds", "epoch", "epoch_milliseconds"] = Field(
        default="seconds", description="What it counts: a time from now on, or the moment as time since 1970"
    )

    def seconds(self, headers: Mapping[str, str]) -> float | None:
        """Seconds to wait, a day at most; None where the header is missing or is no number."""
        said = next((value for name, value in headers.items() if name.lower() == self.header.lower()), "")
        try:
            number = float(said)
        except ValueError:
            return None
        if self.unit.startswith("epoch"):
            number = number * (0.001 if self.unit == "epoch_milliseconds" else 1) - clock.now().timestamp()
        else:
            number *= _UNIT[self.unit]
        return min(max(0.0, number), LONGEST) if number == number else None


class When(Strict):
    """What an answer must be like, in all that is said here.

    Example:
        status: [403, 404]
        match: "error.code == 'not_enabled'"
    """

    status: Annotated[tuple[int, ...], BeforeValidator(lambda value: (value,) if isinstance(value, int) else value)] = Field(
        default=(), description="Its status is this, or one of these"
    )
    match: JmesPath | None = Field(default=None, description="A JMESPath finds something in its JSON that is neither empty nor false")
    text: Pattern | None = Field(default=None, description="A regular expression finds something in its text")
    header: dict[str, Pattern] = Field(default_factory=dict, description="Headers in which regular expressions find something")

    @model_validator(mode="after")
    def _says_something(self) -> When:
        if not (self.status or self.match or self.text or self.header):
            raise ValueError("says nothing, so that it would hold of every answer")
        return self

    def holds(self, response: Response) -> bool:
        """Whether an answer is like that."""
        if self.status and response.status not in self.status:
            return False
        headers = {name.lower(): value for name, value in response.headers.items()}
        if not all(_found(pattern, headers.get(name.lower())) for name, pattern in self.header.items()):
            return False
        if self.text and not _found(self.text, response.body[:_LOOKED_AT].decode("utf-8", "replace")):
            return False
        return self.match is None or _matches(self.match, response)


class Rule(Strict):
    """What becomes of such an answer: `skip` what was asked for and go on, `retry`, `fail`, or `restart` from the first page.

    `deny` is for vendors that say without 401 that they refuse our credentials: it fails as a 401 does, and pauses the connection.

    Skips are counted by partition and told with the run; a run with skips marks nothing as deleted. A stream of which every request was
    skipped fails.

    Example:
        when: {status: 404}
        then: skip
        retries: 2
    """

    when: When = Field(description="What the answer must be like")
    then: Literal["skip", "retry", "fail", "deny", "restart"] = Field(description="What becomes of it")
    retries: int | None = Field(
        default=None, ge=0, le=20,
        description="How often the request is made again before that; of `retry` as the source's `retry` if not given, of `restart` 1",
    )  # fmt: skip
    wait: Wait | None = Field(default=None, description="The header that says when, where it is none of the usual ones")

    def judge(self, response: Response, tried: Counter[Rule]) -> None:
        """Raise what the rule says of an answer that it is for; `tried` counts how often each rule has had a request made again."""
        why = f"{response.place} answered {response.status}, of which a rule of the source's file says {self.then}"
        often = 0 if self.retries is None or self.then == "restart" else self.retries
        if self.then == "retry" and self.retries is None:
            often = 100  # the retries of the source end it
        if tried[self] < often:
            tried[self] += 1
            raise self._later(response, why)
        if self.then == "skip":
            raise Skipped(f"{response.place} answered {response.status}")
        if self.then == "restart":
            raise Restarted(why, 1 if self.retries is None else self.retries)
        if self.then == "deny":
            hint = "Check the Connection's secrets and the account's rights"
            raise AuthFailed(f"{response.place} refused our credentials ({response.status}, by a rule of the source's file)", hint=hint)
        raise SourceRejected(why, hint="Look at the rules in `errors` of the source's file, and at what the source says")

    def _later(self, response: Response, why: str) -> RateLimited | SourceUnavailable:
        wait = self.wait.seconds(response.headers) if self.wait else wait_of(response.headers)
        if response.status == 429:
            return RateLimited(why, retry_after=wait)
        error = SourceUnavailable(why, retry_after=wait)
        error.foreseen = True
        return error

    def __hash__(self) -> int:
        return id(self)


class ExpiredRule(Rule):
    """The source's own kind of rule, of answers that refuse a token. No file says it in `errors`.

    Example:
        when: {status: 410}
        then: restart
    """

    def judge(self, response: Response, tried: Counter[Rule]) -> None:
        """Raise Expired."""
        raise Expired(f"{response.place} refused the token of its changes ({response.status})")


def rule_for(rules: Sequence[Rule], response: Response) -> Rule | None:
    """The first rule that holds of an answer."""
    return next((rule for rule in rules if rule.when.holds(response)), None)


def _found(pattern: str, text: str | None) -> bool:
    """Whether RE2 finds the pattern, in time that is linear in the text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return text is not None and bool(pc.match_substring_regex(pa.scalar(text), pattern).as_py())


def _matches(path: str, response: Response) -> bool:
    try:
        found: Any = jmespath.search(path, response.json())
    except (SourceUnavailable, ValueError, TypeError, LookupError, ArithmeticError, RecursionError):
        return False
    return found not in (None, False, "") and found != [] and found != {}
