"""Addresses and phone numbers of the world, plausible for their country and written in many ways. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from zlib import crc32

from spine.sandbox.names import COUNTRIES, COUNTRY_WEIGHTS, pool

_AREAS = {
    "US": "212 213 202 206 214 215 216 303 305 312 313 314 404 408 412 415 469 503 512 602 612 615 617 702 713 718 773 801 813 816",
    "GB": "20 20 20 121 131 141 151 161 113 117",
    "DE": "30 40 89 69 221 211 711 351 341 911",
    "FR": "1 2 3 4 5",
    "ES": "91 93 95 96 98",
}
_CALLING = {"US": "1", "GB": "44", "DE": "49", "FR": "33", "ES": "34"}
_DIGITS = {"US": 7, "GB": 0, "DE": 8, "FR": 8, "ES": 7}
_SHORT = {"Street": "St", "Avenue": "Ave", "Road": "Rd", "Boulevard": "Blvd", "Drive": "Dr", "Lane": "Ln", "Court": "Ct"}
_SHORT |= {"straße": "str.", "Straße": "Str.", "Calle": "C/"}


@dataclass(frozen=True)
class Place:
    """A postal address; `country` is the ISO code."""

    street: str
    city: str
    state: str
    postcode: str
    country: str


@dataclass(frozen=True)
class Phone:
    """A national number split where people put blanks."""

    country: str
    area: str
    local: str


def make_place(rng: Random, country: str | None = None) -> Place:
    """A new address; postcode and state belong to the city, as they do in life."""
    code = country or rng.choices(COUNTRIES, COUNTRY_WEIGHTS)[0]
    words = pool(code)
    city = words.cities.draw(rng)
    street, number = rng.choice(words.streets), rng.randint(1, 399)
    anchor = crc32(f"{code}{city}".encode())
    tail = rng.randrange(100)
    if code == "GB":
        postcode = f"{city[:2].upper()}{anchor % 20 + 1} {tail % 9 + 1}{'ABDEFGHJLN'[tail % 10]}{'PQRSTUWXYZ'[tail // 10]}"
    else:
        postcode = f"{anchor % 900 + 100}{tail:02d}"
    line = f"{number} {street}" if code in ("US", "GB", "FR") else f"{street} {number}"
    return Place(line, city, words.states[anchor % len(words.states)], postcode, code)


def make_phone(rng: Random, country: str) -> Phone:
    """A new number that `phonenumbers` accepts as possible for its country."""
    area = rng.choice(_AREAS[country].split())
    digits = _DIGITS[country] or 10 - len(area)
    first = rng.choice("23456789")
    local = first + "".join(rng.choices("0123456789", k=digits - 1))
    if country == "US" and local[1:3] == "11":
        local = f"{first}2{local[2:]}"
    return Phone(country, area, local)


def write_phone(phone: Phone, rng: Random) -> str:
    """The number as one of many people would write it."""
    area, local = phone.area, phone.local
    calling, cut = _CALLING[phone.country], len(local) - 4
    e164 = f"+{calling}{area}{local}"
    style = rng.random()
    if style < 0.3:
        return e164
    forms: tuple[str, ...]
    if phone.country == "US":
        forms = (f"({area}) {local[:3]}-{local[3:]}", f"{area}-{local[:3]}-{local[3:]}", f"{area}.{local[:3]}.{local[3:]}",
                 f"+1 {area} {local[:3]} {local[3:]}", f"{area}{local}", f"1-{area}-{local[:3]}-{local[3:]}")  # fmt: skip
    else:
        trunk = "" if phone.country == "ES" else "0"
        forms = (f"+{calling} {area} {local[:cut]} {local[cut:]}", f"00{calling} {area} {local}",
                 f"{trunk}{area} {local[:cut]} {local[cut:]}", f"+{calling} ({trunk}){area} {local}" if trunk else e164)  # fmt: skip
    return rng.choice(forms)


def write_street(street: str, rng: Random) -> str:
    """The street line, now and then abbreviated or in capitals."""
    roll = rng.random()
    if roll < 0.3:
        for long, short in _SHORT.items():
            if long in street:
                return street.replace(long, short)
    return street.upper() if roll > 0.97 else street
