"""Countries and telephone numbers by the data of `phonenumbers`: names in all its languages, E.164 where it can be told."""

from __future__ import annotations

import re
from functools import cache, lru_cache

import pyarrow as pa

_ALIASES = {
    "usa": "US", "u.s.": "US", "u.s.a.": "US", "united states of america": "US", "uk": "GB", "u.k.": "GB", "great britain": "GB",
    "england": "GB", "scotland": "GB", "wales": "GB", "northern ireland": "GB", "holland": "NL", "the netherlands": "NL",
}  # fmt: skip


@cache
def _regions_by_name() -> dict[str, str]:
    from phonenumbers.geodata.locale import LOCALE_DATA

    names: dict[str, str] = {}
    for region, by_language in sorted(LOCALE_DATA.items()):
        for name in by_language.values():
            if not name.startswith("*"):  # `*aa`: the same as in language `aa`
                names.setdefault(name.casefold(), region)
    for region in LOCALE_DATA:
        names[region.casefold()] = region
    return names | _ALIASES


def region_of(country: str) -> str | None:
    """ISO 3166 alpha-2 code of a country's name or code in any case, None if it is not known."""
    return _regions_by_name().get(country.strip().casefold())


@lru_cache(maxsize=65536)
def e164(number: str, country: str | None) -> str:
    """`number` as E.164 if it is a possible number, read as one of `country` where it has no `+`; else its digits."""
    import phonenumbers

    region = region_of(country) if country else None
    try:
        parsed = phonenumbers.parse(number, region)
    except phonenumbers.NumberParseException:
        return _digits(number)
    if phonenumbers.is_possible_number(parsed):
        return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    return _digits(number)


def region_codes(names: pa.Array) -> pa.Array:
    """The code of each country, the trimmed text where it is not known; each distinct name is looked up once."""
    distinct = names.dictionary_encode()
    found = [None if name is None else region_of(name) or name.strip() for name in distinct.dictionary.to_pylist()]
    return pa.array(found, pa.string()).take(distinct.indices)


def phone_numbers(numbers: pa.Array, countries: pa.Array) -> pa.Array:
    """Each number as E.164 where it can be told."""
    pairs = zip(numbers.to_pylist(), countries.to_pylist(), strict=True)
    return pa.array([None if number is None else e164(number, country) for number, country in pairs], pa.string())


def _digits(number: str) -> str:
    bare = re.sub(r"[^0-9]", "", number)
    if not bare:
        return number.strip()
    return f"+{bare}" if number.strip().startswith("+") else bare
