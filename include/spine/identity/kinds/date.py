"""Dates, birth dates above all: what is unknown is not held against a pair."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date as day

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spine.identity.attribute import AttributeKind
from spine.identity.blocking.cuttings import Cut, Cutting
from spine.identity.comparing import texts
from spine.identity.comparing.plan import Comparison, Shapes
from spine.identity.comparing.stated import near
from spine.identity.comparing.texts import Both, Codes, Texts, derive, edits
from spine.identity.standardize import vocabulary as words
from spine.identity.standardize.text import fold

_YEAR = "[0-9a-z]{4}"
_ISO_DATE = re.compile(rf"^({_YEAR})([-/.])([0-9a-z]{{1,2}})(?:\2([0-9a-z]{{1,2}}))?(?:[t ].*)?\Z")
_DAY_FIRST = re.compile(r"^(\d{1,2})[./-](\d{1,2})[./-](\d{4}|\d{2})(?:[t ].*)?\Z")
_DAY_AND_NAME = re.compile(r"^(\d{1,2})(?:st|nd|rd|th)?[\s.,-]+([^\W\d_]{3,})[\s.,-]+(\d{4}|\d{2})\Z")
_NAME_AND_DAY = re.compile(r"^([^\W\d_]{3,})[\s.,-]+(\d{1,2})(?:st|nd|rd|th)?[\s.,-]+(\d{4}|\d{2})\Z")
_MONTH_FIRST = re.compile(r"^(\d{1,2})[./-](\d{4})\Z")
_NAME_OF_MONTH = re.compile(r"^([^\W\d_]{3,})[\s.,/-]+(\d{4})\Z")
_DECADE = re.compile(r"^(?:the )?(\d{3})0'?s\Z|^(\d{3})[x?_-]\Z")
# What says that a date is not known exactly: circa and its sisters.
_ABOUT = re.compile(
    r"^(?:c|ca|circa|cir|about|abt|around|approx|approximately|est|estimated|um|etwa|ungefahr|vers|env|environ|hacia|alrededor de|cerca de|"
    r"verso|intorno al|rond|omstreeks|ok|okolo|kolem|n|noin|ad|born|b|geb|in|year)\b[.\s]*(?=\d|\w{3,}\W+\d{4}\Z)"
    r"|^[~\u2248<(\[?]+\s*|^c(?=\d{4})|(?<=\d{4})[\s?)\]]+\Z"
)
_EAST_ASIAN = re.compile("^(\\d{4})\\s*[\u5e74\ub144](?:\\s*(\\d{1,2})\\s*[\u6708\uc6d4](?:\\s*(\\d{1,2})\\s*[\u65e5\uc77c])?)?\\Z")
_PARTICLES = re.compile(r"(?<=[\w.])\s+(?:de|del|di|of)\s+")
_NO_CENTURY = "xx"
_FIRST_YEAR, _LAST_YEAR = 1000, 2099  # what lies outside is typed because there must be a date (`0001-01-01`, `9999-12-31`)
ABOUT_YEARS = 2  # an age given in years, in a census above all, is commonly off by so many
FAR_YEARS = 10  # of ages rounded to five or ten, and years remembered, few are off by more
DATE_LEVELS = (
    "same date",
    "one slip or swapped day and month",
    "same month, day unknown",
    "same year, rest unknown",
    "about the same year, rest unknown",
    "two slips",
    "same year",
    "other year, rest unknown",
    "different date",
)
# What is believed of pairs of full dates, and of pairs of which one date is partial, by level; the last is that of both.
_FULL = (0.86, 0.08, 0.0, 0.0, 0.0, 0.025, 0.015, 0.0), (0.00006, 0.0015, 0.0, 0.0, 0.0, 0.02, 0.015, 0.0)
_PARTIAL = (0.0, 0.0, 0.05, 0.7, 0.16, 0.0, 0.0, 0.07), (0.0, 0.0, 0.001, 0.02, 0.08, 0.0, 0.0, 0.25)
_APART = (0.02, 0.963)
_OF_PARTIAL = tuple(bool(chance) for chance in _PARTIAL[0])
_USUAL = {"full": 0.98, "partial": 0.02}


def date(text: str | None) -> str | None:
    """`YYYYMMDD` with `00` for an unknown month or day; misread digits stay, so that they can be compared. Placeholders give None.

    Of `3/4/1990` the day is taken to come first, of `3/14/1990` the month. A year of two digits has an unknown century (`xx850201`), a
    decade an unknown last digit (`184x0000`). What is only about right (`c. 1843`, `1843?`) is as unknown as its day.
    """
    folded = _PARTICLES.sub(" ", _exact(fold(text).strip())) if text else ""
    digits = _digits(folded)
    if digits is None or digits in words.PLACEHOLDER_DATES or digits[:4].startswith("000"):
        return None
    return None if digits[:4].isdecimal() and not _FIRST_YEAR <= int(digits[:4]) <= _LAST_YEAR else digits


def _exact(folded: str) -> str:
    """A date without the words and marks that say how sure it is."""
    while (shorter := _ABOUT.sub("", folded)) != folded:
        folded = shorter
    return folded


def _digits(folded: str) -> str | None:
    if found := _ISO_DATE.match(folded):
        return found[1] + found[3].zfill(2) + (found[4] or "00").zfill(2)
    if found := _DAY_FIRST.match(folded):
        day, month = (found[1], found[2]) if int(found[2]) <= 12 else (found[2], found[1])
        return _whole_year(found[3]) + month.zfill(2) + day.zfill(2)
    if found := _DAY_AND_NAME.match(folded):
        return _spelled(found[3], found[2], found[1])
    if found := _NAME_AND_DAY.match(folded):
        return _spelled(found[3], found[1], found[2])
    return _partial(folded)


def _partial(folded: str) -> str | None:
    """A date of which only the year, or year and month, is there, and one without separators."""
    if found := _MONTH_FIRST.match(folded):
        return f"{found[2]}{found[1].zfill(2)}00" if int(found[1]) <= 12 else None
    if found := _NAME_OF_MONTH.match(folded):
        return _spelled(found[2], found[1], "00")
    if found := _DECADE.match(folded):
        return f"{found[1] or found[2]}x0000"
    if found := _EAST_ASIAN.match(folded):
        return found[1] + (found[2] or "00").zfill(2) + (found[3] or "00").zfill(2)
    if re.fullmatch(r"\d{4}", folded):
        return folded + "0000"
    return folded if re.fullmatch(r"\d{8}", folded) else None


def _whole_year(digits: str) -> str:
    return digits if len(digits) == 4 else _NO_CENTURY + digits


def _spelled(year: str, month: str, day: str) -> str:
    """A date whose month is a word, `0000` if the word is none."""
    number = words.MONTHS.get(month[:3]) or words.MONTHS.get(month)
    return f"{_whole_year(year)}{number}{day.zfill(2)}" if number else "0000"


class Dates:
    """What is derived from one date alone. Years lie between `first` and `last`, NaN if a digit is misread."""

    def __init__(self, values: Sequence[str]) -> None:
        self.whole, self.year = Texts(values), Texts([value[:4] for value in values])
        self.short = Texts([value[2:] for value in values])
        turned = pa.array([value[2:4] + value[6:] + value[4:6] for value in values], pa.string())
        self.turned = np.asarray(pc.fill_null(pc.index_in(turned, self.short.distinct), -1), dtype=np.int64)
        self.known = np.asarray([not value.endswith("00") for value in values], dtype=bool)
        self.dated = np.asarray([not value.startswith(_NO_CENTURY) for value in values], dtype=bool)
        self.month = Texts([value[4:6].replace("00", "") for value in values])
        self.decade_year = Texts([value[2:4] for value in values])
        years = [_years(value) for value in values]
        self.first, self.last = (np.asarray([span[end] for span in years], dtype=float) for end in (0, 1))

    def apart(self, left: Codes, right: Codes) -> Codes:
        """How many years lie between the years of the dates at least, 0 if they may be the same or are not known."""
        gap = np.maximum(self.first[left] - self.last[right], self.first[right] - self.last[left])
        decade = np.abs(self.first[left] % 100 - self.first[right] % 100)
        gap = np.where(self.dated[left] & self.dated[right], gap, np.minimum(decade, 100 - decade))
        return np.maximum(np.nan_to_num(gap, nan=0.0), 0.0)


def _years(value: str) -> tuple[float, float]:
    """The first and the last year that a date may lie in; of one without a century, those of the first."""
    year = value[:4].replace(_NO_CENTURY, "00") if value.startswith(_NO_CENTURY) else value[:4]
    if year.isdecimal():
        return float(year), float(year)
    return (float(f"{year[:3]}0"), float(f"{year[:3]}9")) if year[:3].isdecimal() and year[3] == "x" else (np.nan, np.nan)


def compare(values: Sequence[str], left: Codes, right: Codes, _: Mapping[str, float]) -> Codes:
    """Levels of DATE_LEVELS; unknown centuries, months and days are not held against a pair."""
    dates = derive(values, Dates)
    centuries = dates.dated[left] & dates.dated[right]
    partial = ~dates.known[left] | ~dates.known[right]
    short = edits(dates.short, left, right, ~centuries, 2)
    distance: Codes = np.where(centuries, edits(dates.whole, left, right, centuries, 2), short)
    same_century = dates.year.codes[left] == dates.year.codes[right]
    same_year: Codes = np.where(centuries, same_century, dates.decade_year.codes[left] == dates.decade_year.codes[right])
    turned = same_year & (dates.short.codes[left] == dates.turned[right])
    full = np.select([distance == 0, (distance == 1) | turned, distance == 2, same_year], [1, 2, 6, 7], default=9)
    month = Both(dates.month, left, right)
    apart = dates.apart(left, right)
    blurred = np.select(
        [same_year & month.equal, same_year & ~month.there, apart <= ABOUT_YEARS, apart <= FAR_YEARS], [3, 4, 5, 8], default=9
    )
    return np.where(partial, blurred, full)


def _year(value: str) -> list[str]:
    """The year; of a date without a century, that of each."""
    if value.startswith(_NO_CENTURY):
        return [f"{century}{value[2:4]}" for century in (18, 19, 20)]
    return [value[:4]]


def _month(value: str) -> list[str]:
    return [] if value[4:6] == "00" else [value[:6]]


def _day(value: str) -> list[str]:
    """The date without its century, which may be unknown."""
    return [value[2:]]


def _day_number(value: str) -> float:
    try:
        return day(int(value[:4]), int(value[4:6]), int(value[6:8])).toordinal()
    except ValueError:  # an unknown day or month, or a misread digit
        return np.nan


def _year_number(value: str) -> float:
    return float(value[:4]) if value[:4].isdecimal() else np.nan


def _shapes(values: Sequence[str]) -> Texts:
    """Which dates are full, which partial."""
    return Texts(["full" if known else "partial" for known in derive(values, Dates).known.tolist()])


def _possible(shares: Mapping[str, float]) -> tuple[float, ...]:
    """The share of pairs that can have each level: those of two full dates, or of at least one partial; both can be apart."""
    full = shares.get("full", 0.0) ** 2
    return (*(1 - full if partial else full for partial in _OF_PARTIAL), 1.0)


def _usually(whole: Sequence[float], partial: Sequence[float], apart: float) -> tuple[float, ...]:
    usual = _possible(_USUAL)
    return (*((one + other) * share for one, other, share in zip(whole, partial, usual, strict=False)), apart)


def year_of(values: Sequence[str]) -> Texts:
    """The year of a date."""
    return derive(values, Dates).year


def _shown(value: str) -> str:
    known = [part for part in (value[4:6], value[6:]) if part != "00"]
    return "-".join([value[:4], *known]) if len(value) == 8 else value


YEAR = Cutting("year", _year, 3)
DAY = Cutting("date", _day)


class Date(AttributeKind):
    """Dates in many notations, such as dates of birth. Two people of clearly different dates are not one."""

    name = "date"
    example = "3 Feb 1985"
    rest = (DAY,)
    comparison = Comparison(
        "", "", DATE_LEVELS, compare, _usually(_FULL[0], _PARTIAL[0], _APART[0]), _usually(_FULL[1], _PARTIAL[1], _APART[1]),
        (0.05, *[0.0] * 8), {1: texts.whole, 4: year_of}, exclusive=True, outweighable=True, shown=_shown,
        shapes=Shapes(_shapes, _possible, _USUAL), former=(0, 1, 2, 2, 3, 2, 3, 4, 4),
    )  # fmt: skip
    cuts: Mapping[str, Cut] = {"year": _year, "month": _month}
    levels = {  # noqa: RUF012
        "days <= N": lambda number: near(_day_number, number),
        "years <= N": lambda number: near(_year_number, number),
    }

    def standardize(self, text: str | None) -> str | None:
        """`YYYYMMDD` with `00` for what is unknown."""
        return date(text)


KIND = Date()
