"""Texts of declarations that have a grammar of their own: names, schedules, durations, paths, patterns. A wrong one raises ValueError,
which the reader of the file turns into a mistake with file, line and field."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import timedelta
from difflib import get_close_matches
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from spine.core.errors import ConfigError
from spine.core.names import require_word

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
# Airflow's own name for a schedule, which the parser of schedules does not know.
_QUARTERLY = {"@quarterly": "0 0 1 */3 *"}


def nearest(word: Any, known: Iterable[str]) -> str:
    """`, did you mean 'x'?` for the known word that is nearest to a wrong one; empty if none is near."""
    words = {name.lower(): name for name in known}
    found = get_close_matches(str(word).lower(), words, n=1, cutoff=0.6)
    return f", did you mean {words[found[0]]!r}?" if found else ""


def _word(value: str) -> str:
    try:
        return require_word(value, "name")
    except ConfigError as error:
        raise ValueError(f"{error.message}: use a-z, 0-9 and single underscores") from None


def duration(value: Any) -> timedelta:
    """A whole number of s, m, h or d, as 10m. Raises ValueError."""
    found = re.fullmatch(r"(\d{1,6})([smhd])", value) if isinstance(value, str) else None
    if found:
        return timedelta(**{_UNITS[found[2]]: int(found[1])})
    if isinstance(value, timedelta):
        return value
    raise ValueError(f"{value!r} is no duration: write a whole number of s, m, h or d, as 10m")


def _cron(value: str) -> str:
    from croniter import croniter

    try:
        croniter(_QUARTERLY.get(value, value)).get_next()
    except Exception as error:  # its parser raises errors of several kinds
        raise ValueError(f"{value!r} is no schedule ({error}): write five fields of cron, as '0 2 * * *'") from None
    return value


def _jmespath(value: str) -> str:
    import jmespath

    try:
        jmespath.compile(value)
    except ValueError as error:
        raise ValueError(f"{value!r} is no JMESPath: {' '.join(str(error).split(':')[0].split())}") from None
    return value


def _field_path(value: str) -> str:
    if not all(part.strip() for part in value.split(".")):
        raise ValueError(f"{value!r} is no path: write the names of nested fields with single dots between, as contact.email")
    if any("'" in part and '"' in part for part in value.split(".")):
        raise ValueError(f"{value!r} has both kinds of quotes")
    if found := re.search(r"\[[\d*]*\]", value):
        raise ValueError(f"{value!r} is no path: elements of an array have no names ({found[0]}); `split` makes a row of each")
    return value


def _pattern(value: str) -> str:
    """One that RE2 can run, which takes linear time on any text: without what looks ahead, behind or back."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"{value!r} is no regular expression: {error}") from None
    try:
        pc.match_substring_regex(pa.nulls(1, pa.string()), value)  # for a list of values Arrow would import pandas
    except pa.ArrowInvalid as error:
        why = str(error).removeprefix("Invalid regular expression: ").splitlines()[0]
        raise ValueError(f"{value!r} cannot be matched in linear time ({why}): see https://github.com/google/re2/wiki/Syntax") from None
    return value


def _host_pattern(value: str) -> str:
    name, _, port = value.removeprefix("*.").partition(":")
    labels = name.split(".")
    if not all(re.fullmatch(r"[a-z0-9{](?:[a-z0-9_{}-]*[a-z0-9}])?", label) for label in labels) or (port and not port.isdigit()):
        raise ValueError(f"{value!r} is no host: write it in small letters as files.example.com, or *.example.com for all below it")
    if value.startswith("*.") and len(labels) < 2:
        raise ValueError(f"{value!r} is the whole internet below one word")
    return value


Word = Annotated[str, AfterValidator(_word)]
Duration = Annotated[timedelta, BeforeValidator(duration, json_schema_input_type=str)]
Cron = Annotated[str, AfterValidator(_cron)]
JmesPath = Annotated[str, AfterValidator(_jmespath)]
FieldPath = Annotated[str, AfterValidator(_field_path)]
Pattern = Annotated[str, AfterValidator(_pattern)]
HostPattern = Annotated[str, AfterValidator(_host_pattern)]
