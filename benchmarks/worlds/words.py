"""Names, places and numbers of twenty-three countries in ten scripts, drawn as often as in life.

The lists are mimesis' and those of the sandbox; a long tail of rarer names is made by crossing the halves of two of them, since a list of
a thousand surnames would make every stranger a namesake. Where a language has few surnames (Chinese, Korean) there is no tail.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

import numpy as np
import polars as pl
from mimesis import Address, Locale, Person
from mimesis.enums import Gender
from text_unidecode import unidecode

from spine.sandbox import names as sandbox

Array: TypeAlias = Any  # numpy arrays of many element types
_DRAWS = 6000
_SHIFT = 8
ZONES = 10  # postcodes of a city


@dataclass(frozen=True)
class Country:
    """Facts of one country. `telephone`: calling code, starts of mobile numbers, starts of landlines, digits after the calling code.

    `postcode` has `9` for a digit and `A` for a letter. `few` says that surnames have no long tail.
    """

    name: str
    locale: Locale
    telephone: tuple[str, str, str, int]
    postcode: str = "99999"
    two_surnames: float = 0.02
    family_first: bool = False
    few: bool = False
    house_first: bool = False
    tld: str = ""


COUNTRIES = {
    "US": Country("United States", Locale.EN, ("1", "212 213 206 214 312 404 415 503 617 713", "215 216 303 313 412 512 602 702 801", 10),
                  house_first=True, tld="com"),
    "GB": Country("United Kingdom", Locale.EN_GB, ("44", "74 75 77 78 79", "20 121 131 141 151 161", 10), "AA9 9AA",
            house_first=True, tld="co.uk"),
    "DE": Country("Germany", Locale.DE, ("49", "151 160 170 171 175 176", "30 40 89 69 221 211", 10), tld="de"),
    "FR": Country("France", Locale.FR, ("33", "6 7", "1 2 3 4 5", 9), house_first=True, tld="fr"),
    "ES": Country("Spain", Locale.ES, ("34", "6", "91 93 95 96", 9), two_surnames=0.9, tld="es"),
    "IT": Country("Italy", Locale.IT, ("39", "320 333 347", "02 06 011 051", 10), tld="it"),
    "PT": Country("Portugal", Locale.PT, ("351", "91 93 96", "21 22", 9), "9999-999", two_surnames=0.9, tld="pt"),
    "BR": Country("Brazil", Locale.PT_BR, ("55", "119 219 319", "113 213 313", 11), "99999-999", two_surnames=0.6, tld="com.br"),
    "MX": Country("Mexico", Locale.ES_MX, ("52", "55 33 81", "56 32 82", 10), two_surnames=0.9, tld="mx"),
    "NL": Country("Netherlands", Locale.NL, ("31", "6", "20 10 30 70", 9), "9999 AA", two_surnames=0.06, tld="nl"),
    "PL": Country("Poland", Locale.PL, ("48", "50 60 69", "22 12 61", 9), "99-999", tld="pl"),
    "CZ": Country("Czechia", Locale.CS, ("420", "60 72", "22 54", 9), "999 99", tld="cz"),
    "SE": Country("Sweden", Locale.SV, ("46", "70 73", "8 31 40", 9), "999 99", tld="se"),
    "HU": Country("Hungary", Locale.HU, ("36", "20 30 70", "1 52", 9), "9999", family_first=True, tld="hu"),
    "TR": Country("Turkey", Locale.TR, ("90", "532 542 505", "212 216 312", 10), tld="com.tr"),
    "RU": Country("Russia", Locale.RU, ("7", "903 916 926", "495 812", 10), "999999", family_first=True, tld="ru"),
    "UA": Country("Ukraine", Locale.UK, ("380", "50 67 93", "44 57", 9), family_first=True, tld="com.ua"),
    "GR": Country("Greece", Locale.EL, ("30", "69", "21 23", 10), "999 99", tld="gr"),
    "CN": Country("China", Locale.ZH, ("86", "138 139 186", "102 212", 11), "999999", family_first=True, few=True, tld="cn"),
    "JP": Country("Japan", Locale.JA, ("81", "90 80", "33 66", 10), "999-9999", family_first=True, tld="co.jp"),
    "KR": Country("South Korea", Locale.KO, ("82", "10", "22 51", 10), family_first=True, few=True, tld="co.kr"),
    "EG": Country("Egypt", Locale.AR_DZ, ("20", "10 11 12", "22 33", 10), tld="com.eg"),
    "IR": Country("Iran", Locale.FA, ("98", "912 935", "21 31", 10), "9999999999", tld="ir"),
}  # fmt: skip
NOT_LATIN = ("RU", "UA", "GR", "CN", "JP", "KR", "EG", "IR")
_NO_SPACES = ("CN", "JP", "KR")
_NO_VOWELS = ("EG", "IR")
_WOMEN = {
    "RU": ((r"(ов|ев|ёв|ин)$", r"\1а"), (r"ский$", "ская"), (r"цкий$", "цкая")),
    "PL": ((r"ski$", "ska"), (r"cki$", "cka"), (r"dzki$", "dzka")),
    "CZ": ((r"a$", "ová"), (r"ý$", "á"), (r"([^áaoeiuyí])$", r"\1ová")),
}
_OTHER = (("shch", "sch"), ("kh", "h"), ("zh", "j"), ("iu", "yu"), ("ia", "ya"), ("ts", "tz"), ("ks", "x"), ("ph", "f"), ("ou", "u"),
          ("oo", "ou"), ("ee", "i"), ("ei", "ey"), ("q", "k"), ("ck", "k"), ("gi", "ki"), ("j", "zh"), ("v", "w"), ("x", "h"))  # fmt: skip


class _Latin(dict[int, str]):
    """What each letter is in Latin ones, for `str.translate`."""

    def __missing__(self, code: int) -> str:
        return self.setdefault(code, unidecode(chr(code)))


_LATIN = _Latin()


def latin(text: str) -> str:
    """The text in ASCII letters, sign by sign."""
    return text if text.isascii() else text.translate(_LATIN)


def draw(rng: np.random.Generator, shares: dict[Any, float], count: int) -> Array:
    """Numbers of keys, in the order of the dictionary, each as often as its share says."""
    cumulative = np.cumsum(list(shares.values()))
    return np.searchsorted(cumulative / cumulative[-1], rng.random(count), side="right")


class Ranks:
    """Codes of lists that follow one another, a list per country; the entry of rank r (from 0) has weight (r + shift) ** -exponent."""

    def __init__(self, counts: Sequence[int], exponent: float, shift: float = _SHIFT + 1) -> None:
        self.starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        weights = [(np.arange(count) + shift) ** -exponent for count in counts]
        self._cumulative = [np.cumsum(weight) / weight.sum() for weight in weights]

    def draw(self, rng: np.random.Generator, country: Array) -> Array:
        """A code for each country number."""
        dice, found = rng.random(len(country)), np.zeros(len(country), dtype=np.int64)
        for number, cumulative in enumerate(self._cumulative):
            rows = np.flatnonzero(country == number)
            found[rows] = self.starts[number] + np.minimum(np.searchsorted(cumulative, dice[rows]), len(cumulative) - 1)
        return found


@dataclass(frozen=True)
class Words:
    """A list per country, one after another, in several spellings, all by code."""

    native: pl.Series
    women: pl.Series
    latin: pl.Series
    latin_too: pl.Series
    slug: pl.Series
    ranks: Ranks

    def write(self, codes: Array, women: Array | None = None, latin: Array | None = None, too: Array | None = None) -> pl.Series:
        """The words as texts: in the form for women, in Latin letters, by the other system, for the rows that are marked so."""
        found = self.native.gather(codes)
        if women is not None:
            found = self.women.gather(codes).zip_with(pl.Series(women), found)
        if latin is not None and too is not None and latin.any():
            other = self.latin_too.gather(codes).zip_with(pl.Series(too), self.latin.gather(codes))
            found = other.zip_with(pl.Series(latin), found)
        return found

    def mailbox(self, codes: Array) -> pl.Series:
        """The words as they stand in mailboxes and domains."""
        return self.slug.gather(codes)


def romanised(text: str, country: str) -> str:
    """A word of any script in Latin letters."""
    plain = latin(text).strip()
    if country in _NO_SPACES:
        plain = plain.replace(" ", "").lower()
    if country in _NO_VOWELS:
        # Their letters leave short vowels out; people who write Latin put some in.
        plain = re.sub(r"[^a-z ]", "", plain.lower())
        plain = re.sub(r"(kh|sh|gh|ch|th|zh|dh|[bcdfgjklmnpqrstvwxz])(?=[bcdfghjklmnpqrstvwxz])", r"\1a", plain)
    return " ".join(word[:1].upper() + word[1:] for word in plain.split())


def _otherwise(text: str) -> str:
    """The word by another system: at most two groups of letters in another spelling."""
    word, changed = text.lower(), 0
    for one, other in _OTHER:
        if one in word and changed < 2:
            word, changed = word.replace(one, other, 1), changed + 1
    return " ".join(part[:1].upper() + part[1:] for part in word.split())


def _of_women(word: str, country: str) -> str:
    for ending, other in _WOMEN.get(country, ()):
        if re.search(ending, word):
            return re.sub(ending, other, word)
    return word


@cache
def _spelled(country: str, native: tuple[str, ...]) -> tuple[pl.Series, ...]:
    """A country's words: as they are, for women, in Latin letters by two systems, as in mailboxes."""
    romans = [romanised(word, country) if country in NOT_LATIN else word for word in native]
    others = [_otherwise(word) for word in romans] if country in NOT_LATIN else romans
    women = [_of_women(word, country) for word in native] if country in _WOMEN else native
    plain = [re.sub(r"[^a-z0-9]", "", latin(word).lower()) or "x" for word in romans]
    return tuple(pl.Series(some, dtype=pl.String) for some in (native, women, romans, others, plain))


def listed(countries: Sequence[str], lists: Sequence[Sequence[str]], exponent: float, shift: float = _SHIFT + 1) -> Words:
    """Words of each country with their weights."""
    spelled = [_spelled(country, tuple(words)) for country, words in zip(countries, lists, strict=True)]
    return Words(*(pl.concat(some) for some in zip(*spelled, strict=True)), Ranks([len(words) for words in lists], exponent, shift))


def _drawn(produce: Callable[[], str], known: Sequence[str] = ()) -> list[str]:
    """Different words, the known ones first, the others in scattered order; without characters that no name has."""
    found = dict.fromkeys([*known, *(produce().replace("\u200c", " ").strip() for _ in range(_DRAWS))])
    return [word for word in found if word and word[0].isalpha()]


def _with_tail(words: list[str], count: int) -> list[str]:
    """The first `count` words; where there are fewer, the rest by crossing the first half of one with the second half of another."""
    if len(words) >= count or not words:
        return words[:count]
    rng, found = np.random.default_rng(len(words)), dict.fromkeys(words)
    whole = [word for word in words if " " not in word] or words
    heads, tails = rng.integers(0, len(whole), (2, 4 * count)).tolist()
    for head, tail in zip(heads, tails, strict=True):
        one, other = whole[head], whole[tail]
        made = one[: (len(one) + 1) // 2] + other[len(other) // 2 :]
        if 2 <= len(made) <= 11:
            found[made] = None
        if len(found) >= count:
            break
    return list(found)


@cache
def _of_country(code: str) -> dict[str, list[str]]:
    person, address = Person(COUNTRIES[code].locale, seed=1), Address(COUNTRIES[code].locale, seed=1)
    if code in sandbox.COUNTRIES:  # its heads are each country's commonest names
        pool = sandbox.pool(code)
        surnames, men, women = list(pool.surnames.words), list(pool.male.words), list(pool.female.words)
    else:
        surnames = _drawn(lambda: person.surname(gender=Gender.MALE))
        men, women = (_drawn(lambda gender=gender: person.first_name(gender=gender)) for gender in (Gender.MALE, Gender.FEMALE))
    street = (lambda: f"{address.street_name()} {address.street_suffix()}") if code in ("US", "GB", "FR") else address.street_name
    return {
        "surnames": surnames, "men": men, "women": women, "cities": _drawn(address.city), "streets": _drawn(street)[:1500],
    }  # fmt: skip


def surnames(countries: Sequence[str], count: int, exponent: float) -> Words:
    """Surnames of the countries, up to `count` each."""
    lists = [_of_country(code)["surnames"] for code in countries]
    whole = [words[:count] if COUNTRIES[code].few else _with_tail(words, count) for code, words in zip(countries, lists, strict=True)]
    return listed(countries, whole, exponent)


def forenames(countries: Sequence[str], count: int, exponent: float, women: bool) -> Words:
    """Forenames of men or women."""
    lists = [_with_tail(_of_country(code)["women" if women else "men"], count) for code in countries]
    return listed(countries, lists, exponent + 0.05)


def cities(countries: Sequence[str]) -> Words:
    """Cities; a few hold many of the people."""
    return listed(countries, [_of_country(code)["cities"] for code in countries], 0.9, 4)


def streets(countries: Sequence[str]) -> Words:
    """Street names, which recur between cities."""
    return listed(countries, [_of_country(code)["streets"] for code in countries], 0.4)


def postcodes(countries: Sequence[str], places: Words) -> pl.Series:
    """Ten for each city, by the city's code times ten and a number under ten."""
    found: list[str] = []
    for number, code in enumerate(countries):
        form = COUNTRIES[code].postcode
        digits = form.count("9")
        first, last = places.ranks.starts[number : number + 2].tolist()
        for place in range((last - first) * ZONES):
            # A city's postcodes are neighbours, those of two cities are not.
            key = (place // ZONES * 7919 + 13) % 10 ** max(1, digits - 1) * 10 + place % ZONES
            text, letters = iter(f"{key % 10**digits:0{digits}d}"), place // ZONES * 31 + place % ZONES * 7
            found.append("".join(next(text) if sign == "9" else chr(65 + (letters + at * at) % 26) if sign == "A" else sign
                                 for at, sign in enumerate(form)))  # fmt: skip
    return pl.Series(found, dtype=pl.String)


def telephones(rng: np.random.Generator, countries: Sequence[str], country: Array, mobile: bool) -> Array:
    """A new number for each row: the digits after the calling code, as an integer behind a leading 1 that keeps zeros."""
    found = np.zeros(len(country), dtype=np.int64)
    for number, code in enumerate(countries):
        rows = np.flatnonzero(country == number)
        _, mobiles, landlines, length = COUNTRIES[code].telephone
        starts = (mobiles if mobile else landlines).split()
        chosen = rng.integers(0, len(starts), len(rows))
        for at, start in enumerate(starts):
            here, rest = rows[chosen == at], length - len(start)
            local = rng.integers(2, 10, len(here)) * 10 ** (rest - 1) + rng.integers(0, 10 ** (rest - 1), len(here))
            found[here] = int("1" + start) * 10**rest + local
    return found


def write_telephones(rng: np.random.Generator, countries: Sequence[str], country: Array, numbers: Array) -> pl.Series:
    """The numbers as people write them, with and without calling code; null for -1."""
    digits = pl.Series(numbers).cast(pl.String).str.slice(1)
    calling = pl.Series([COUNTRIES[code].telephone[0] for code in countries]).gather(country)
    trunk = pl.Series(["" if code in ("US", "ES", "IT", "PT", "MX", "PL", "CZ", "GR", "RU") else "0" for code in countries]).gather(country)
    frame = pl.DataFrame({"d": digits, "c": calling, "t": trunk, "style": rng.random(len(numbers)), "known": numbers >= 0})
    cut = [pl.col("d").str.slice(0, 3), pl.col("d").str.slice(3, 3), pl.col("d").str.slice(6)]
    style = pl.col("style")
    written = (
        pl.when(style < 0.3).then(pl.concat_str([pl.lit("+"), "c", "d"]))
        .when(style < 0.55).then(pl.concat_str([pl.lit("+"), "c", pl.lit(" "), cut[0], pl.lit(" "), cut[1], pl.lit(" "), cut[2]]))
        .when(style < 0.65).then(pl.concat_str([pl.lit("00"), "c", pl.lit(" "), "d"]))
        .when(style < 0.8).then(pl.concat_str([pl.lit("("), "t", cut[0], pl.lit(") "), cut[1], pl.lit("-"), cut[2]]))
        .otherwise(pl.concat_str(["t", cut[0], pl.lit(" "), cut[1], pl.lit(" "), cut[2]]))
    )  # fmt: skip
    return frame.select(pl.when("known").then(written)).to_series()


def slugs(texts: pl.Series) -> pl.Series:
    """Texts as they stand in domains: ASCII letters and digits."""
    distinct = texts.unique()
    found = [re.sub(r"[^a-z0-9]", "", latin(text).lower()) or "x" for text in distinct.to_list()]
    return texts.replace_strict(distinct, pl.Series(found, dtype=pl.String))


def numbered(texts: pl.Series, tail: pl.Series | str = "") -> pl.Series:
    """Each text with `tail` behind it; where a text and its tail recur, the later ones get a number between them."""
    frame = pl.DataFrame({"text": texts}).with_columns(tail=tail if isinstance(tail, pl.Series) else pl.lit(tail))
    place = pl.int_range(pl.len()).over("text", "tail")
    number = pl.when(place > 0).then((place + 1).cast(pl.String)).otherwise(pl.lit(""))
    return frame.select(pl.concat_str(["text", number, "tail"])).to_series()
