"""What may be said of an error that is not ours: its class, its code, where it came from. Its text may quote a record or a secret.

PostgreSQL quotes the key that is there twice, Spark the value that is no date, Arrow the text that is no number, requests the address.
"""

from __future__ import annotations

import re
import traceback

from spine.core.errors import JobFailed, SpineError

_HIDDEN = "…"
_LOOKED_AT = 2_000
_QUOTED = re.compile(r"'.*'|\".*\"|`.*`|\(.*=.*\)", re.DOTALL)  # greedy, since what is quoted may hold quotes itself
_TELLING = re.compile(r"(?=\S*@)\S+|(?=[^\s/]*(?:\d[^\s/]*){4})[^\s/]+(?=\s|\Z)")
_HINT = "It was not foreseen. Its text is not shown, since it may quote a record; the log says where it came from"


def told(error: BaseException | str, longest: int = 300) -> str:
    """The first line of an error's text without what may be a value: quoted texts, addresses of persons, and words of four digits."""
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if len(first) > _LOOKED_AT:  # the patterns cost the square of it; what is quoted may end beyond
        first = re.split(r"['\"`(]", first[:_LOOKED_AT])[0]
    return _TELLING.sub(_HIDDEN, _QUOTED.sub(_HIDDEN, first))[:longest]


def unforeseen(error: BaseException) -> SpineError:
    """The error as one of ours, told by its class, its code if it has one, and the line that raised it. Ours stay what they are."""
    if isinstance(error, SpineError):
        return error
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{frames[-1].filename}:{frames[-1].lineno} in {frames[-1].name}" if frames else None
    return JobFailed(f"{type(error).__name__} was raised", hint=_HINT, code=_code(error), at=place)


def frames_of(error: BaseException) -> str:
    """The traceback without any text of an error: who called whom, and the classes of the errors behind it."""
    told_of: list[str] = []
    current: BaseException | None = error
    while current is not None and len(told_of) < 10:
        frames = "".join(traceback.format_tb(current.__traceback__))
        told_of.append(f"{type(current).__name__}{f' ({code})' if (code := _code(current)) else ''}\n{frames}".rstrip())
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return "\nbehind it: ".join(told_of)


def _code(error: BaseException) -> str | None:
    """SQLSTATE of PostgreSQL, condition of Spark, errno of the system."""
    inner = getattr(error, "orig", None) or error
    condition = getattr(inner, "getCondition", None) or getattr(inner, "getErrorClass", None)
    try:
        found = condition() if callable(condition) else getattr(inner, "sqlstate", None) or getattr(inner, "errno", None)
    except Exception:  # a Spark server that is gone cannot be asked
        found = None
    return str(found) if found else None
