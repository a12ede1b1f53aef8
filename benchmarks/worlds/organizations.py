"""The organisations of a world: alone, with branches, as bodies of one house, as members of a chain.

A branch is the same organisation at another address. Bodies and members of a chain are organisations of their own, although bodies share
house, telephone and website, and members the brand and the website.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import polars as pl

from . import words
from .firms import Registry
from .homes import Homes, Land
from .people import after, runs
from .shares import Organizations, World
from .slips import Slips
from .words import draw

Array: TypeAlias = Any  # numpy arrays of many element types
_UNITS = (
    "Library", "Clinic", "Department of Law", "Nursery", "Head Start", "Sports Club", "Foundation", "Office of Admissions", "Laboratory",
    "Training Centre", "Museum", "Health Service", "Research Institute", "Day Care", "Food Service",
)  # fmt: skip
_NAMESAKE_MEMBER = 0.3  # members of a chain that bear the brand alone, without their town
_OWN_TELEPHONE = 0.6  # branches


def records(world: World, slips: Slips, who: Array) -> dict[str, pl.Series]:
    """The columns that the world asks for, by record; `who` is the organisation of each, a number from 0 on."""
    assert world.organizations is not None
    says, rng, countries = world.organizations, slips.rng, list(world.countries)
    count = int(who.max()) + 1
    land, surnames = Land(countries), words.surnames(countries, 15_000, 0.8)
    registry = Registry(countries, surnames, land.cities)
    group, body, chain, place = _groups(rng, says, count)
    country = draw(rng, world.countries, int(group[-1]) + 1)
    firms = registry.make(rng, country, says.generic)
    later = registry.make(rng, country, says.generic)
    site, sites = _sites(rng, says, count)
    seat = np.searchsorted(site, np.arange(count))
    moment = rng.random(len(who))
    at = seat[who] + np.floor(rng.random(len(who)) * sites[who]).astype(np.int64)
    foreign = np.array([code in words.NOT_LATIN for code in countries])[country[group[who]]]
    latin, too = slips.hit("latin") & foreign, rng.random(len(who)) < 0.4
    homes = [_homes(rng, land, says, country[group[site]], group[site], body[site]) for _ in range(2)]
    found = land.write_either(homes, at, after(rng, says.changes.move, who, moment), latin, too)
    found["country"] = land.names_of_countries(rng, country[group[who]])
    found["name"] = _write_names(
        slips, registry, (firms, later), land, homes[0], says, (group, body, chain, place), who, seat, moment, latin, found
    )
    found["website"] = _websites(rng, says, firms, registry, group[who])
    found["phone"] = _telephones(rng, says, countries, country, group, body, site, seat, who, at, moment)
    return {name: found[name] for name in world.columns}


def _groups(rng: np.random.Generator, says: Organizations, count: int) -> tuple[Array, Array, Array, Array]:
    """Each organisation's group, whether that is of bodies or a chain, and its place in the group."""
    bodies, chains = (round(count * some.share) for some in (says.bodies, says.chains))
    parts, start = [], 0
    for size, some in ((bodies, says.bodies), (chains, says.chains), (count - bodies - chains, None)):
        sizes = {number: 1 / number for number in range(2, some.most + 1)} if some else {2: 1.0}
        group, place = runs(rng, size, 1.0 if some else 0.0, sizes) if size else (np.zeros(0, dtype=np.int64),) * 2
        parts.append((group + start, place))
        start += int(group[-1]) + 1 if size else 0
    group, place = (np.concatenate([part[at] for part in parts]) for at in range(2))
    rows = np.arange(count)
    return group, rows < bodies, (rows >= bodies) & (rows < bodies + chains), place


def _sites(rng: np.random.Generator, says: Organizations, count: int) -> tuple[Array, Array]:
    """The organisation of each site, and how many each has; few have many."""
    most = says.branches.most
    many = 2 + np.floor((most - 1) * rng.random(count) ** 3).astype(np.int64)
    sites = np.where(rng.random(count) < says.branches.share, many, 1)
    return np.repeat(np.arange(count), sites), sites


def _homes(rng: np.random.Generator, land: Land, says: Organizations, country: Array, group: Array, body: Array) -> Homes:
    """An address for each site, one for all bodies of a group."""
    homes = land.make(rng, country, says.blocks)
    lead = np.where(body, np.searchsorted(group, group), np.arange(len(group)))
    return Homes(country, homes.city[lead], homes.street[lead], homes.house[lead])


def _write_names(
    slips: Slips, registry: Registry, firms: tuple[Any, Any], land: Land, homes: Homes, says: Organizations,
    groups: tuple[Array, Array, Array, Array], who: Array, seat: Array, moment: Array, latin: Array, found: dict[str, pl.Series],
) -> pl.Series:  # fmt: skip
    rng, (group, body, chain, place) = slips.rng, groups
    lost = slips.hit("form_lost") | body[who]
    other, renamed = slips.hit("form"), after(rng, says.changes.rename, who, moment)
    name, new = (registry.write(rng, some, group[who], latin, other, lost) for some in firms)
    name = new.zip_with(pl.Series(renamed), name)
    units = pl.Series(_UNITS).gather((place + group) % len(_UNITS)).gather(who)
    name = (name + " " + units).zip_with(pl.Series(body[who] & (place[who] > 0)), name)
    town = land.cities.write(homes.city[seat], None, np.zeros(len(seat), dtype=bool), np.zeros(len(seat), dtype=bool))
    with_town = chain & (rng.random(len(chain)) >= _NAMESAKE_MEMBER)
    name = (name + " " + town.gather(who)).zip_with(pl.Series(with_town[who]), name)
    name = (name + " " + found["city"]).zip_with(pl.Series(slips.hit("city_added") & ~with_town[who]), name)
    return name.str.replace(r"^(\S+ \S+.*) \S+$", "$1").zip_with(pl.Series(slips.hit("word_lost")), name)


def _websites(rng: np.random.Generator, says: Organizations, firms: Any, registry: Registry, which: Array) -> pl.Series:
    count = len(firms.country)
    style = np.array(list(says.websites))[draw(rng, says.websites, count)]
    ending = pl.Series([f".{words.COUNTRIES[code].tld}" for code in registry.countries]).gather(firms.country)
    letters = pl.Series(rng.integers(26**3, 26**4, count)).map_elements(_letters, return_dtype=pl.String)
    found = registry.domains(firms).zip_with(pl.Series(style == "name"), words.numbered(letters, ending))
    found = found.zip_with(pl.Series(style != "none"), pl.repeat(None, count, dtype=pl.String, eager=True)).gather(which)
    head = pl.Series(["", "www.", "http://www.", "https://"]).gather(rng.integers(0, 4, len(which)))
    tail = pl.Series(["", "", "/", "/contact"]).gather(rng.integers(0, 4, len(which)))
    return head + found + tail


def _letters(number: int) -> str:
    found = ""
    while number:
        number, rest = divmod(number, 26)
        found += chr(97 + rest)
    return found


def _telephones(
    rng: np.random.Generator, says: Organizations, countries: list[str], country: Array, group: Array, body: Array, site: Array,
    seat: Array,
    who: Array, at: Array, moment: Array,
) -> pl.Series:  # fmt: skip
    of_site = country[group[site]]
    own = [words.telephones(rng, countries, of_site, False) for _ in range(2)]
    lead = np.where(rng.random(len(site)) < _OWN_TELEPHONE, np.arange(len(site)), seat[site])
    lead = np.where(body[site], np.searchsorted(group[site], group[site]), lead)
    changed = after(rng, says.changes.phone, who, moment)
    number = np.where(changed, own[1][lead[at]], own[0][lead[at]])
    return words.write_telephones(rng, countries, country[group[who]], number)
