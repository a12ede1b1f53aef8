"""The persons of a world and what their records would say if nobody slipped: households, jobs, mailboxes, and what changed over time.

Each change (surname, home, employer, mobile, mailbox) happens to a person once, at a moment; a record shows what held at its own moment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import polars as pl

from . import words
from .contacts import Contacts
from .homes import Land
from .shares import People, World
from .slips import PET_FORMS, Slips, write_dates
from .words import draw

Array: TypeAlias = Any  # numpy arrays of many element types
_HOUSEHOLD = {2: 0.5, 3: 0.22, 4: 0.2, 5: 0.08}
_KEEPS_NAME = 0.12
_YEAR = 365.2425
_INITIALS = list("ABCDEFGHJKLMNPRSTW")


def runs(rng: np.random.Generator, count: int, share: float, sizes: dict[int, float]) -> tuple[Array, Array]:
    """Neighbouring rows in groups: a share of the rows in groups of these sizes, the rest alone. The group of each row, its place there."""
    mean = sum(size * weight for size, weight in sizes.items()) / sum(sizes.values())
    alone = (1 - share) / ((1 - share) + share / mean) if share < 1 else 0.0
    total, found = 0, []
    while total < count:
        more = np.array([1, *sizes])[
            draw(rng, {1: alone, **{size + 1: (1 - alone) * weight for size, weight in sizes.items()}}, count // 2 + 8)
        ]
        found.append(more)
        total += int(more.sum())
    lengths = np.concatenate(found)
    group = np.repeat(np.arange(len(lengths)), lengths)[:count]
    starts = np.concatenate([[0], np.cumsum(lengths)])[group]
    return group, np.arange(count) - starts


@dataclass(frozen=True)
class Persons:
    """By person; `surname` is before and after a marriage (mostly equal). `second` and `middle` are -1 where there is none."""

    country: Array
    household: Array
    female: Array
    surname: tuple[Array, Array]
    second: Array
    forename: Array
    middle: Array
    suffix: Array
    born: Array


class _Names:
    """The lists of names of a world's countries."""

    def __init__(self, countries: list[str], says: People) -> None:
        self.surnames = words.surnames(countries, says.surnames, says.exponent)
        self.men, self.women = (words.forenames(countries, says.forenames, says.exponent, women) for women in (False, True))

    def draw_forenames(self, rng: np.random.Generator, country: Array, female: Array) -> Array:
        """Codes of the list that fits."""
        return np.where(female, self.women.ranks.draw(rng, country), self.men.ranks.draw(rng, country))

    def forenames(self, codes: Array, female: Array, latin: Array, too: Array) -> pl.Series:
        """Forenames as texts."""
        men = self.men.write(np.where(female, 0, codes), None, latin, too)
        return self.women.write(np.where(female, codes, 0), None, latin, too).zip_with(pl.Series(female), men)

    def mailbox(self, codes: Array, female: Array) -> pl.Series:
        """Forenames as they stand in mailboxes."""
        men = self.men.mailbox(np.where(female, 0, codes))
        return self.women.mailbox(np.where(female, codes, 0)).zip_with(pl.Series(female), men)


def records(world: World, slips: Slips, who: Array) -> dict[str, pl.Series]:
    """The columns that the world asks for, by record; `who` is the person of each, a number from 0 on."""
    assert world.people is not None
    says, rng, countries, wanted = world.people, slips.rng, list(world.countries), set(world.columns)
    count, names, land = int(who.max()) + 1, _Names(countries, world.people), Land(countries)
    people = _persons(rng, says, world.countries, names, count)
    moment = rng.random(len(who))
    foreign = np.array([code in words.NOT_LATIN for code in countries])[people.country[who]]
    latin, too = slips.hit("latin") & foreign, rng.random(len(who)) < 0.4
    found = _write_names(people, names, countries, slips, who, after(rng, says.changes.marriage, who, moment), latin, too)
    found = _with_suffix(rng, found, people.suffix[who], says.suffixes)
    if "birth_date" in wanted:
        found["birth_date"] = write_dates(slips, people.born[who])
    if wanted & {"street", "city", "postcode", "country"}:
        _, first = np.unique(people.household, return_index=True)
        homes = [land.make(rng, people.country[first], says.blocks) for _ in range(2)]
        found |= land.write_either(homes, people.household[who], after(rng, says.changes.move, people.household[who], moment), latin, too)
        found["country"] = land.names_of_countries(rng, people.country[who])
    if wanted & {"email", "phone", "employer"}:
        slugs = names.mailbox(people.forename, people.female), tuple(names.surnames.mailbox(codes) for codes in people.surname)
        contacts = Contacts(rng, says, countries, people.country, people.household, slugs)
        found |= contacts.write(slips, names.surnames, land.cities, who, moment, latin)
    return {name: found[name] for name in world.columns}


def after(rng: np.random.Generator, share: float, whose: Array, moment: Array) -> Array:
    """Whether each record is from after a change that happens to a share of those `whose` record it is."""
    count = int(whose.max()) + 1
    return moment > np.where(rng.random(count) < share, rng.uniform(0.2, 0.8, count), 2.0)[whose]


def _persons(rng: np.random.Generator, says: People, countries: Any, names: _Names, count: int) -> Persons:
    household, place = runs(rng, count, says.households, _HOUSEHOLD)
    homes = int(household[-1]) + 1
    first = np.searchsorted(household, np.arange(homes))
    country = draw(rng, countries, homes)
    named = np.where(rng.random(homes) < says.abroad, draw(rng, countries, homes), country)[household]
    female = rng.random(count) < 0.5
    partner = np.flatnonzero(place == 1)
    female[partner] = ~female[partner - 1]
    born = _born(rng, says.born, household, place)
    # The third in a household may carry the name of the first; the third and the fourth may be twins.
    heirs = _chosen(rng, np.flatnonzero(place == 2), says.generations / 2 * count)
    female[heirs] = female[heirs - 2]
    twins = _chosen(rng, np.flatnonzero(place == 3), says.twins / 2 * count)
    born[twins] = born[twins - 1]
    forename = names.draw_forenames(rng, named, female)
    forename[heirs] = forename[heirs - 2]
    own, shared = names.surnames.ranks.draw(rng, named), names.surnames.ranks.draw(rng, named[first])[household]
    surname = np.where((place == 1) & (rng.random(count) < _KEEPS_NAME), own, shared)
    marries = (place < 2) & (rng.random(count) < says.changes.marriage * count / max(1, (place < 2).sum()))
    two = np.array([words.COUNTRIES[code].two_surnames for code in countries])[named]
    suffix = np.zeros(count, dtype=np.int64)
    suffix[heirs], suffix[heirs - 2] = 1, 2
    return Persons(
        country[household], household, female, (np.where(marries, own, surname), surname),
        np.where(rng.random(count) < two, names.surnames.ranks.draw(rng, named), -1), forename,
        np.where(rng.random(count) < says.middle_initials, rng.integers(0, len(_INITIALS), count), -1), suffix, born,
    )  # fmt: skip


def _chosen(rng: np.random.Generator, rows: Array, count: float) -> Array:
    """About so many of the rows, or all of them."""
    return rows[rng.random(len(rows)) < count / max(1, len(rows))]


def _born(rng: np.random.Generator, years: tuple[int, int], household: Array, place: Array) -> Array:
    """Days since 1970: partners within eight years of each other, children twenty to thirty-eight years younger.

    Who lives with others is born twenty years before the last of `years` at the latest, so that no child is of the future.
    """
    start, end = ((year - 1970) * _YEAR for year in (years[0], years[1] + 1))
    latest = np.where(np.bincount(household) > 1, max(start, end - 20 * _YEAR), end)
    head = rng.uniform(start, latest)[household]
    later = np.where(place == 0, 0.0, np.where(place == 1, rng.uniform(-8, 8, len(place)), rng.uniform(20, 38, len(place))))
    return (head + later * _YEAR).astype(np.int64)


def _write_names(
    people: Persons, names: _Names, countries: list[str], slips: Slips, who: Array, married: Array, latin: Array, too: Array
) -> dict[str, pl.Series]:
    female = people.female[who]
    given = names.forenames(people.forename[who], female, latin, too)
    given = given.replace(PET_FORMS).zip_with(pl.Series(slips.hit("nickname")), given)
    given = (given.str.slice(0, 1) + ".").zip_with(pl.Series(slips.hit("initial")), given)
    middle = slips.hit("middle") & (people.middle[who] >= 0)
    given = (given + " " + pl.Series(_INITIALS).gather(np.maximum(people.middle[who], 0)) + ".").zip_with(pl.Series(middle), given)
    family = names.surnames.write(np.where(married, people.surname[1][who], people.surname[0][who]), female, latin, too)
    both = (people.second[who] >= 0) & ~slips.hit("short")
    family = (family + " " + names.surnames.write(np.maximum(people.second[who], 0), female, latin, too)).zip_with(pl.Series(both), family)
    swapped = pl.Series(slips.hit("swapped"))
    given, family = family.zip_with(swapped, given), given.zip_with(swapped, family)
    country = people.country[who]
    family_first = np.array([words.COUNTRIES[code].family_first for code in countries])[country] & ~latin
    blank = pl.Series(np.where(np.array([code in ("CN", "JP", "KR") for code in countries])[country] & ~latin, "", " "))
    full = (family + blank + given).zip_with(pl.Series(family_first), given + " " + family)
    return {"forename": given, "surname": family, "full_name": (family + ", " + given).zip_with(pl.Series(slips.hit("comma")), full)}


def _with_suffix(rng: np.random.Generator, found: dict[str, pl.Series], suffix: Array, share: float) -> dict[str, pl.Series]:
    said = suffix * (rng.random(len(suffix)) < share)
    ending = pl.Series(["", " Jr.", " Sr."]).gather(said)
    return found | {name: found[name] + ending for name in ("surname", "full_name")}
