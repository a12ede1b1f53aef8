"""Addresses: of households, of organisations, of blocks in which strangers share street and house."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import polars as pl

from . import words

Array: TypeAlias = Any  # numpy arrays of many element types
_PER_BLOCK = 10


@dataclass(frozen=True)
class Homes:
    """Addresses by number: country, city, street, house."""

    country: Array
    city: Array
    street: Array
    house: Array


class Land:
    """Cities, streets and postcodes of a world's countries."""

    def __init__(self, countries: Sequence[str]) -> None:
        self.countries = countries
        self.cities, self.streets = words.cities(countries), words.streets(countries)
        self._postcodes = words.postcodes(countries, self.cities)

    def make(self, rng: np.random.Generator, country: Array, blocks: float) -> Homes:
        """An address for each row; a share of `blocks` of them in houses of some ten addresses."""
        homes = Homes(country, self.cities.ranks.draw(rng, country), self.streets.ranks.draw(rng, country),
                      (rng.gamma(1.2, 40, len(country)) + 1).astype(np.int64))  # fmt: skip
        order = np.argsort(country + rng.random(len(country)) * 0.9, kind="stable")
        shared = np.flatnonzero(rng.random(len(country)) < blocks)
        if len(shared):
            shared = order[np.isin(order, shared)] if len(shared) < len(order) else order
            first = shared[np.arange(len(shared)) // _PER_BLOCK * _PER_BLOCK]
            same = country[first] == country[shared]
            for part in (homes.city, homes.street, homes.house):
                part[shared[same]] = part[first[same]]
        return homes

    def write(self, homes: Homes, which: Array, latin: Array, too: Array) -> dict[str, pl.Series]:
        """Street with house, city and postcode of the homes `which`."""
        country, street = homes.country[which], self.streets.write(homes.street[which], None, latin, too)
        house = pl.Series(homes.house[which]).cast(pl.String)
        first = pl.Series([words.COUNTRIES[code].house_first for code in self.countries]).gather(country)
        zone = homes.city[which] * words.ZONES + homes.street[which] % words.ZONES
        return {
            "street": (house + " " + street).zip_with(first, street + " " + house),
            "city": self.cities.write(homes.city[which], None, latin, too),
            "postcode": self._postcodes.gather(zone),
        }

    def write_either(self, homes: Sequence[Homes], which: Array, second: Array, latin: Array, too: Array) -> dict[str, pl.Series]:
        """As `write`, of the second `homes` where that is marked, else of the first."""
        first, other = (self.write(some, which, latin, too) for some in homes)
        return {name: other[name].zip_with(pl.Series(second), first[name]) for name in first}

    def names_of_countries(self, rng: np.random.Generator, country: Array) -> pl.Series:
        """The country in full, now and then as its code."""
        full = pl.Series([words.COUNTRIES[code].name for code in self.countries]).gather(country)
        return pl.Series(list(self.countries)).gather(country).zip_with(pl.Series(rng.random(len(country)) < 0.15), full)
