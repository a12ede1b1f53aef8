"""What happens to values on their way into a source, each slip as often as the record's channel states."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, TypeAlias

import numpy as np
import polars as pl

from spine.sandbox.names import NICKNAMES
from spine.sandbox.noise import typo

from .shares import Channel
from .words import latin

Array: TypeAlias = Any  # numpy arrays of many element types
PET_FORMS = NICKNAMES | {
    "Francisco": "Paco", "José": "Pepe", "Manuel": "Manolo", "Dolores": "Lola", "Guadalupe": "Lupe", "Ignacio": "Nacho", "Johannes": "Hans",
    "Friedrich": "Fritz", "Wilhelm": "Willi", "Katharina": "Käthe", "Margarete": "Grete", "Александр": "Саша", "Дмитрий": "Дима",
    "Иван": "Ваня", "Николай": "Коля", "Анастасия": "Настя", "Giuseppe": "Peppe", "Giovanni": "Gianni", "Stanisław": "Staszek",
}  # fmt: skip
_MISREAD = (
    ("rn", "m"), ("m", "rn"), ("cl", "d"), ("li", "h"), ("e", "c"), ("h", "b"), ("l", "1"), ("i", "l"), ("O", "0"), ("o", "0"),
    ("S", "5"), ("B", "8"), ("u", "v"), ("n", "u"), ("g", "q"), ("t", "f"), ("0", "O"), ("1", "l"), ("5", "S"), ("8", "B"), ("6", "b"),
    ("и", "н"), ("н", "п"), ("ш", "щ"), ("а", "о"), ("ό", "ο"), ("ي", "ى"), ("日", "目"), ("大", "太"), ("이", "어"),
)  # fmt: skip
_MISREAD_DIGITS = dict(zip("0123456789", "8127456190", strict=True))
_FILLERS = {
    "forename": ("unknown", "N/A", "test", "-"), "surname": ("unknown", "N/A", "xxx", "-"), "full_name": ("unknown", "N/A"),
    "name": ("unknown", "N/A", "test"), "email": ("none@none.com", "noemail@example.com", "na@na.com"),
    "website": ("http://", "www.none.com", "n/a"), "phone": ("0000000000", "1234567890", "999-999-9999"),
    "birth_date": ("1900-01-01", "1970-01-01", "1111-11-11"), "street": ("unknown", "N/A", "same as above"),
    "city": ("unknown", "N/A"), "postcode": ("00000", "99999"),
    "country": ("unknown",), "employer": ("none", "self", "retired", "N/A"),
}  # fmt: skip
_SHORT = {
    " Street": " St", " Avenue": " Ave", " Road": " Rd", " Drive": " Dr", " Lane": " Ln", " Court": " Ct", " Place": " Pl",
    "straße": "str.", "Straße": "Str.", "Calle ": "C/ ", "Avenida ": "Av. ", "Rue ": "R. ", " and ": " & ", "International": "Intl",
    "Services": "Svcs", "Construction": "Constr", "Insurance": "Ins", "Consulting": "Cons", "Department": "Dept",
    "Maschinenbau": "Masch.-Bau", "University": "Univ",
}  # fmt: skip
_DATE_COLUMNS, _NUMBERS = ("birth_date",), ("phone", "postcode")


class Slips:
    """Draws which records a slip hits. `channel` is the number of each record's channel."""

    def __init__(self, rng: np.random.Generator, channels: list[Channel], channel: Array) -> None:
        self.rng, self._channels, self._channel = rng, channels, channel
        self._dice = Random(int(rng.integers(2**60)))

    def hit(self, slip: str) -> Array:
        """Whether the slip hits, by record; drawn anew at each call."""
        rates = np.array([getattr(channel, slip) for channel in self._channels])
        if not rates.any():
            return np.zeros(len(self._channel), dtype=bool)
        return self.rng.random(len(self._channel)) < rates[self._channel]

    def damage(self, columns: dict[str, pl.Series]) -> dict[str, pl.Series]:
        """The columns as the sources hold them: abbreviated, mistyped, misread, filled up. Names of persons are whole by now."""
        return {name: self._column(name, values) for name, values in columns.items()}

    def _column(self, name: str, values: pl.Series) -> pl.Series:
        if name in ("street", "name", "employer"):
            values = self._each(values, "abbreviated", _abbreviated)
        if name not in _NUMBERS and name not in _DATE_COLUMNS:
            values = self._each(values, "typo", lambda text: typo(text, self._dice))
            values = self._each(values, "scan", lambda text: _misread(text, self._dice))
        else:
            values = self._each(values, "scan", lambda text: _wrong_digit(text, self._dice))
        if name in _NUMBERS:
            values = self._each(values, "digit", lambda text: _wrong_digit(text, self._dice))
        if name not in ("email", "website"):
            values = self._each(values, "plain", lambda text: text if ord(max(text)) >= 0x250 else latin(text))
            values = values.str.to_uppercase().zip_with(pl.Series(self.hit("capitals")), values)
        fillers = _FILLERS[name]
        return self._each(values, "placeholder", lambda _: self._dice.choice(fillers))

    def _each(self, values: pl.Series, slip: str, change: Callable[[str], str]) -> pl.Series:
        rows = np.flatnonzero(self.hit(slip) & values.is_not_null().to_numpy())
        if not len(rows):
            return values
        return values.scatter(rows, pl.Series([change(text) for text in values.gather(rows).to_list()], dtype=pl.String))


def _abbreviated(text: str) -> str:
    for long, short in _SHORT.items():
        if long in text:
            return text.replace(long, short)
    return text


def _misread(text: str, dice: Random) -> str:
    """One or two confusions of a scanner."""
    for _ in range(dice.randint(1, 2)):
        fitting = [pair for pair in _MISREAD if pair[0] in text[1:]]
        if fitting:
            one, other = dice.choice(fitting)
            text = text[:1] + text[1:].replace(one, other, 1)
        elif len(text) > 3:
            spot = dice.randrange(1, len(text) - 1)
            text = text[:spot] + text[spot + 1 :]
    return text


def _wrong_digit(text: str, dice: Random) -> str:
    """A digit as a scanner or a tired eye reads it."""
    spots = [spot for spot, sign in enumerate(text) if sign in _MISREAD_DIGITS]
    if not spots:
        return text
    spot = dice.choice(spots)
    return text[:spot] + _MISREAD_DIGITS[text[spot]] + text[spot + 1 :]


def write_dates(slips: Slips, days: Array) -> pl.Series:
    """Birth dates (days since 1970) as text, as exact and as right as the channels state."""
    rng = slips.rng
    days = np.where(slips.hit("date_off"), days + rng.integers(1, 10, len(days)) * rng.choice([-1, 1], len(days)), days)
    dates = pl.Series(days.astype("datetime64[D]"))
    year, month, day = (part.to_numpy().astype(np.int64) for part in (dates.dt.year(), dates.dt.month(), dates.dt.day()))
    circa = slips.hit("circa")
    year = np.where(slips.hit("year_off"), year + rng.integers(1, 4, len(days)) * rng.choice([-1, 1], len(days)), year)
    year = np.where(circa, year + rng.integers(-2, 3, len(days)), year)
    # The 29th of February of another year is the 28th.
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    day = np.where((month == 2) & (day == 29) & ~leap, 28, day)
    turned = slips.hit("day_month") & (day <= 12)
    month, day = np.where(turned, day, month), np.where(turned, month, day)
    two = pl.Series([f"-{number:02d}" for number in range(100)])
    text = pl.Series(year).cast(pl.String)
    to_month = text + two.gather(month)
    found = to_month + two.gather(day)
    found = to_month.zip_with(pl.Series(slips.hit("month_only")), found)
    found = text.zip_with(pl.Series(slips.hit("year_only")), found)
    return ("ca. " + text).zip_with(pl.Series(circa), found)
