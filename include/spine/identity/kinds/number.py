"""Amounts, years, sizes."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from spine.identity.attribute import AttributeKind
from spine.identity.comparing import texts
from spine.identity.comparing.plan import Comparison
from spine.identity.comparing.stated import near
from spine.identity.comparing.texts import Codes, derive
from spine.identity.standardize.text import fold

_DURATION = re.compile(r"^(\d{1,3})\s*(?:m|min|:)\s*([0-5]?\d)\s*(?:s|sec)?\.?\Z")
_AMOUNT = re.compile(r"-?\d{1,3}(?:[ ']\d{3})+(?:[.,]\d+)?|-?\d[\d.,]*\d|-?\.?\d")
NUMBER_LEVELS = ("same number", "nearly the same", "about the same", "different number")
YEARS = (1_000, 2_200)


def number(text: str | None) -> str | None:
    """The first number without currency and unit, in either notation (`$1,299.00`, `1.299,00 €`); minutes and seconds become seconds."""
    folded = fold(text).strip() if text else ""
    if spoken := _DURATION.match(folded):
        return str(int(spoken[1]) * 60 + int(spoken[2]))
    found = _AMOUNT.search(folded)
    if not found:
        return None
    digits = re.sub("[ ']", "", found[0])
    if "," in digits and "." in digits:
        grouping = "," if digits.rindex(".") > digits.rindex(",") else "."
        digits = digits.replace(grouping, "").replace(",", ".")
    elif digits.count(",") == 1 and not re.search(r",\d{3}\Z", digits):
        digits = digits.replace(",", ".")
    elif digits.count(".") > 1:
        digits = digits.replace(".", "")
    value = float(digits.replace(",", ""))
    if not math.isfinite(value):
        return None
    return str(int(value)) if value.is_integer() else repr(value)


def _amounts(values: Sequence[str]) -> Codes:
    return np.asarray(pa.array(values, pa.string()).cast(pa.float64()))


def compare(values: Sequence[str], left: Codes, right: Codes, _: Mapping[str, float]) -> Codes:
    """Levels of NUMBER_LEVELS: up to 2 % and 15 % of the larger one apart; whole numbers that could be years up to one and three.

    A year without its century (`98`) is nearly the same as `1998`.
    """
    amounts = derive(values, _amounts)
    one, other = amounts[left], amounts[right]
    gap, low, high = np.abs(one - other), np.minimum(one, other), np.maximum(one, other)
    relative = gap / np.maximum(np.maximum(np.abs(one), np.abs(other)), 1e-12)
    late = (high >= YEARS[0]) & (high <= YEARS[1]) & (one % 1 == 0) & (other % 1 == 0)
    years = late & (low >= YEARS[0])
    nearly = np.where(years, gap <= 1, relative <= 0.02) | (late & (low >= 0) & (low < 100) & (high % 100 == low))
    about = np.where(years, gap <= 3, relative <= 0.15)
    return np.select([gap == 0, nearly, about], [1, 2, 3], default=4)


def _float(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        return np.nan


class Number(AttributeKind):
    """Prices, sizes, durations and years in any notation; a number tells nobody from another without something else."""

    name = "number"
    example = "$1,299.00"
    comparison = Comparison("", "", NUMBER_LEVELS, compare, (0.6, 0.15, 0.1, 0.15), (0.02, 0.05, 0.1, 0.83), (), {1: texts.whole})
    levels = {  # noqa: RUF012
        "difference <= X": lambda most: near(_float, most),
        "difference <= X%": lambda most: near(_float, most, share=True),
    }

    def standardize(self, text: str | None) -> str | None:
        """The first number without currency and unit."""
        return number(text)


KIND = Number()
