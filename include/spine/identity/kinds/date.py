"""Dates, birth dates above all: what is unknown is not held against a pair."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date as day

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spine.identity.attribute import AttributeKind
from spine.identity.blocking.cuttings import VALUE, Cut, Cutting
from spine.identity.comparing import texts
from spine.identity.comparing.plan import Comparison
from spine.identity.comparing.stated import near
from spine.identity.comparing.texts import Codes, Texts, derive, edits
from spine.identity.standardize import vocabulary as words
from spine.identity.standardize.text import fold

_ISO_DATE = re.compile(r"^([0-9a-z]{4})-([0-9a-z]{1,2})(?:-([0-9a-z]{1,2}))?(?:[t ].*)?\Z")
_DAY_FIRST = re.compile(r"^(\d{1,2})[./-](\d{1,2})[./-](\d{4}|\d{2})(?:[t ].*)?\Z")
_DAY_AND_NAME = re.compile(r"^(\d{1,2})(?:st|nd|rd|th)?[\s.,-]+([^\W\d_]{3,})[\s.,-]+(\d{4}|\d{2})\Z")
_NAME_AND_DAY = re.compile(r"^([^\W\d_]{3,})[\s.,-]+(\d{1,2})(?:st|nd|rd|th)?[\s.,-]+(\d{4}|\d{2})\Z")
_FIRST_YEAR = 30  # of two-digit years: 30 is 1930, 29 is 2029
DATE_LEVELS = ("same date", "one slip or swapped day and month", "two slips", "same year", "different date")


def date(text: str | None) -> str | None:
    """`YYYYMMDD` with `00` for an unknown month or day; misread digits stay, so that they can be compared. Placeholders give None.

    Of `3/4/1990` the day is taken to come first, of `3/14/1990` the month.
    """
    folded = fold(text).strip() if text else ""
    if found := _ISO_DATE.match(folded):
        digits = found[1] + found[2].zfill(2) + (found[3] or "00").zfill(2)
    elif found := _DAY_FIRST.match(folded):
        day, month = (found[1], found[2]) if int(found[2]) <= 12 else (found[2], found[1])
        digits = _whole_year(found[3]) + month.zfill(2) + day.zfill(2)
    elif found := _DAY_AND_NAME.match(folded):
        digits = _spelled(found[3], found[2], found[1])
    elif found := _NAME_AND_DAY.match(folded):
        digits = _spelled(found[3], found[1], found[2])
    elif re.fullmatch(r"\d{4}", folded):
        digits = folded + "0000"
    elif re.fullmatch(r"\d{8}", folded):
        digits = folded
    else:
        return None
    return None if digits in words.PLACEHOLDER_DATES or digits.startswith("0000") else digits


def _whole_year(digits: str) -> str:
    return digits if len(digits) == 4 else f"{'19' if int(digits) >= _FIRST_YEAR else '20'}{digits}"


def _spelled(year: str, month: str, day: str) -> str:
    """A date whose month is a word, `0000` if the word is none."""
    number = words.MONTHS.get(month[:3]) or words.MONTHS.get(month)
    return f"{_whole_year(year)}{number}{day.zfill(2)}" if number else "0000"


class Dates:
    """What is derived from one date alone."""

    def __init__(self, values: Sequence[str]) -> None:
        self.whole, self.year = Texts(values), Texts([value[:4] for value in values])
        turned = pa.array([value[:4] + value[6:] + value[4:6] for value in values], pa.string())
        self.turned = np.asarray(pc.fill_null(pc.index_in(turned, self.whole.distinct), -1), dtype=np.int64)
        self.known = np.asarray([not value.endswith("00") for value in values], dtype=bool)
        self.month = Texts([value[4:6].replace("00", "") for value in values])


def compare(values: Sequence[str], left: Codes, right: Codes, _: Mapping[str, float]) -> Codes:
    """Levels of DATE_LEVELS; unknown days and months are not held against a pair."""
    dates = derive(values, Dates)
    same_year = dates.year.codes[left] == dates.year.codes[right]
    partial = ~dates.known[left] | ~dates.known[right]
    month = dates.month.codes
    same_month = (month[left] == month[right]) | (month[left] == 0) | (month[right] == 0)
    distance = edits(dates.whole, left, right, np.ones(len(left), dtype=bool), 2)
    turned = dates.whole.codes[left] == dates.turned[right]
    level = np.select([distance == 0, (distance == 1) | turned, distance == 2, same_year], [1, 2, 3, 4], default=5)
    return np.where(partial, np.where(same_year & same_month, np.maximum(level, 3), np.where(same_year, 4, 5)), level)


def _year(value: str) -> list[str]:
    return [value[:4]]


def _month(value: str) -> list[str]:
    return [] if value[4:6] == "00" else [value[:6]]


def _day_number(value: str) -> float:
    try:
        return day(int(value[:4]), int(value[4:6]), int(value[6:8])).toordinal()
    except ValueError:  # an unknown day or month, or a misread digit
        return np.nan


def _year_number(value: str) -> float:
    return float(value[:4]) if value[:4].isdecimal() else np.nan


def _shown(value: str) -> str:
    return f"{value[:4]}-{value[4:6]}-{value[6:]}" if len(value) == 8 else value


YEAR = Cutting("year", _year)


class Date(AttributeKind):
    """Dates in many notations, such as dates of birth. Two people of clearly different dates are not one."""

    name = "date"
    example = "3 Feb 1985"
    rest = (VALUE,)
    comparison = Comparison(
        "", "", DATE_LEVELS, compare, (0.86, 0.08, 0.025, 0.015, 0.02), (0.00006, 0.0015, 0.02, 0.015, 0.96344),
        (0.05, 0.0, 0.0, 0.0, 0.0), {1: texts.whole}, exclusive=True, outweighable=True, shown=_shown,
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
