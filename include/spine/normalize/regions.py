"""Countries and telephone numbers by the data of `phonenumbers`: names in all its languages, E.164 where it can be told."""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal
from functools import cache, lru_cache

import pyarrow as pa

from spine.core.dialect import cleaned

_ALIASES = {
    "usa": "US", "u.s.": "US", "u.s.a.": "US", "united states of america": "US", "uk": "GB", "u.k.": "GB", "great britain": "GB",
    "england": "GB", "scotland": "GB", "wales": "GB", "northern ireland": "GB", "holland": "NL", "the netherlands": "NL",
}  # fmt: skip

# Extensions as people write them behind a number: `ext: 31`, `extension 9`, `;ext=44`, `p. 12`, `, 77`, `x5`, `#5`, `Durchwahl 3`.
_EXTENSION = re.compile(
    r"[\s,;(]*(?:(?<![a-z])(?:extension|extn|ext|durchwahl|dw|poste|interno|int|anexo|ramal|toestel|tst|wew|p|x|доб|вн)[\s.:=]*|\#\s*|,\s*)\d{1,5}\)?\s*\Z",
    re.IGNORECASE,
)
_BETWEEN = re.compile(r"\s*(?:[;,|\n]|\bor\b|\boder\b|\bou\b)\s*", re.IGNORECASE)
_NUMERAL = re.compile(r"[+]?\d+(?:[.,]0+|(?:[.,]\d+)?[eE][+]?\d{1,2})")
_NO_DIGIT = re.compile(r"[^0-9]")
_LETTER = re.compile(r"[^\W\d_]")
_LONGEST = 250  # letters of a text that is a number, of several, or with words around: as many as `phonenumbers` reads
_FEWEST, _MOST = 6, 15  # digits of a number: E.164 allows fifteen


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
    return _regions_by_name().get(cleaned(country).casefold())


def e164(number: str, country: str | None) -> str | None:
    """`number` as E.164 if it is a possible number, read as one of `country` where it has no `+`; else its digits.

    An extension is left out, and of several numbers the first is taken. None for what lost digits on its way (`4.91511E+12`), or has more
    than a number can have: it would be a number that nobody has.
    """
    return _e164(number, country) if len(number) <= _LONGEST else _digits(_plain(number))


@lru_cache(maxsize=65536)
def _e164(number: str, country: str | None) -> str | None:
    plain = _plain(number)
    text = _numeral(_first_number(_EXTENSION.sub("", plain) or plain))
    if text is None:
        return None
    region = region_of(country) if country else None
    abroad = text[2:] if text.startswith("00") else text  # what most of the world dials for `+`
    found = _abroad(abroad, region) or _possible(text, region)
    if found is None and abroad is not text:
        found = _possible(f"+{abroad}", None)
    return found or _digits(text)


def _abroad(text: str, region: str | None) -> str | None:
    """A valid number of the region that begins with its country's code and lacks but the `+`; not where that may be a national number."""
    from phonenumbers import PhoneMetadata, country_code_for_region

    metadata = PhoneMetadata.metadata_for_region(region) if region else None
    if region is None or metadata is None or not metadata.national_prefix or text.startswith(("+", metadata.national_prefix)):
        return None
    code = str(country_code_for_region(region))
    if not _LETTER.search(text) and not _NO_DIGIT.sub("", text).startswith(code):
        return None  # as most do: parsing costs ten times as much as looking
    found = _possible(f"+{text}", None, valid=True)
    return found if found and found.startswith(f"+{code}") else None


def _possible(text: str, region: str | None, *, valid: bool = False) -> str | None:
    import phonenumbers

    try:
        parsed = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    good = phonenumbers.is_valid_number(parsed) if valid else phonenumbers.is_possible_number(parsed)
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164) if good else None


def _plain(number: str) -> str:
    """With ASCII digits, plain spaces, and nothing that cannot be seen or only ends a list."""
    text = "".join(str(unicodedata.digit(letter, letter)) if letter.isdigit() else letter for letter in number)
    return cleaned(text).strip(" ,;'\"")


def _first_number(text: str) -> str:
    """The first of several numbers; a part with fewer than six digits belongs to what stands before it."""
    pieces = _BETWEEN.split(text)
    if len(pieces) > 1 and all(len(_NO_DIGIT.sub("", piece)) >= _FEWEST for piece in pieces):
        return pieces[0].strip()
    return text


def _numeral(text: str) -> str | None:
    """A number that a spreadsheet or a float wrote (`4915112345678.0`, `4.915112345678E+12`) as its digits; None if some are lost."""
    if not _NUMERAL.fullmatch(text):
        return text
    value = Decimal(text.replace(",", "."))
    exact = value == value.to_integral_value() and not (re.search("[eE]", text) and int(value.as_tuple().exponent) > 0)
    return f"{'+' if text.startswith('+') else ''}{value:.0f}" if exact else None


def region_codes(names: pa.Array) -> pa.Array:
    """The code of each country, the trimmed text where it is not known; each distinct name is looked up once."""
    distinct = names.dictionary_encode()
    found = [None if name is None else region_of(name) or cleaned(name) for name in distinct.dictionary.to_pylist()]
    return pa.array(found, pa.string()).take(distinct.indices)


def phone_numbers(numbers: pa.Array, countries: pa.Array) -> pa.Array:
    """Each number as E.164 where it can be told."""
    pairs = zip(numbers.to_pylist(), countries.to_pylist(), strict=True)
    return pa.array([None if number is None else e164(number, country) for number, country in pairs], pa.string())


def _digits(number: str) -> str | None:
    bare = _NO_DIGIT.sub("", number)
    if not bare:
        return number.strip()
    if len(bare) > _MOST:
        return None
    return f"+{bare}" if number.strip().startswith("+") else bare
