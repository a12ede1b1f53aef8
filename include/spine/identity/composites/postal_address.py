"""A postal address: street, house number, postcode and town together, since they depend on each other."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spine.identity.blocking.cuttings import Array, Cutting, Part, mixed, of_part
from spine.identity.blocking.cuttings import whole as whole_text
from spine.identity.comparing.plan import Comparison, FeatureKind, Plan, Shapes
from spine.identity.comparing.texts import Both, Codes, Ends, Texts, alike, cut_of, derive, pieces
from spine.identity.standardize import vocabulary as words
from spine.identity.standardize.columns import Function, first_filled, parts
from spine.identity.standardize.text import CACHED, MAX_LENGTH, SEP, content, fold, is_placeholder, tokens

MEMBERS = ("street", "house_number", "postcode", "city", "region")
_ZIP_IN_STREET = re.compile(r"\b\d{5}(?:-\d{4})?\Z")
_ZIP_WITH_PLUS = re.compile(r"\d{5}-\d{4}")
_NUMBER = re.compile(r"^\d+[a-z]?\Z")
_PARTS = "nrct"  # number, road, code and town in the name of an address's shape
_DIGIT = re.compile(r"\d")
ADDRESS_LEVELS = (
    "same house",
    "same number, other spelling",
    "same street",
    "same postcode",
    "near postcode",
    "same town",
    "elsewhere",
)


@lru_cache(maxsize=CACHED)
def place(text: str | None) -> str:
    """Words of a town's or region's name, `` if there are none."""
    return "" if not text or is_placeholder(text) else " ".join(tokens(text))


@lru_cache(maxsize=CACHED)
def _road(line: str) -> tuple[str, ...]:
    """Street words of an address line without number and postcode; none of one with digits, or of a long one."""
    folded = fold(line)
    if _DIGIT.search(folded) or max(len(line), len(folded)) > MAX_LENGTH // 2:
        return ()
    found = [words.STREET_WORDS.get(word, word) for word in tokens(folded)]
    return tuple(word for word in found if word not in words.STREET_FILLERS) or tuple(found)


def street(text: str | None) -> tuple[str, Sequence[str], str]:
    """House number, street words and a postcode found at the end, of an address line."""
    if not text:
        return "", (), ""
    number, _, line = text.partition(" ")
    if not number.isdigit():
        line, _, number = text.rpartition(" ")
    if number.isdigit() and number.isascii() and len(number) < 5 and (road := _road(line)):
        return number, road, ""  # most lines are so plain, and have their road in common with many others
    return _any_street(text)


def _any_street(text: str) -> tuple[str, Sequence[str], str]:
    folded = content(text)
    zipped = _ZIP_IN_STREET.search(folded)
    found = [words.STREET_WORDS.get(word, word) for word in tokens(folded[: zipped.start()] if zipped and zipped.start() > 0 else folded)]
    number = next((word for word in found if _NUMBER.match(word)), "")
    kept = [word for word in found if word != number and word not in words.STREET_FILLERS]
    return number, kept or [word for word in found if word != number], zipped.group(0)[:5] if zipped else ""


@lru_cache(maxsize=CACHED)
def postcode(text: str | None) -> str:
    """The code without separators, `` if there is none; the `+4` of US codes is dropped."""
    folded = content(text)
    if _ZIP_WITH_PLUS.fullmatch(folded):
        folded = folded[:5]
    joined = folded.replace(" ", "")
    return joined if joined.isalnum() else "".join(char for char in joined if char.isalnum())


@lru_cache(maxsize=CACHED)
def postcode_district(code: str) -> str:
    """The coarser part: the outward code of a British code, the first three characters of others."""
    return code[:-3] if re.fullmatch(r"[a-z]{1,2}\w{1,2}\d[a-z0-9]{2}", code) and len(code) >= 5 else code[:3]


def address(line: str | None, number: str | None, code: str | None, town: str | None, region: str | None) -> str | None:
    """`<house number>SEP<street words>SEP<postcode>SEP<town>`, parts may be empty; None if all are."""
    found_number, street_words, found_code = street(line)
    digits = " ".join(tokens(number)) or found_number
    parts = [digits, " ".join(street_words), postcode(code) or found_code, place(town) or place(region)]
    return SEP.join(parts) if any(parts) else None


def _by_parts(values: Mapping[str, pa.Array]) -> pa.DictionaryArray:
    """`address`, part by part."""
    nothing = pa.nulls(len(next(iter(values.values()))), pa.string())
    line, number, code, town, region = (values.get(kind, nothing) for kind in ("street", "house_number", "postcode", "city", "region"))
    found_number, road, found_code = parts(line, _street_parts)
    found = [
        first_filled(parts(number, _words)[0], found_number),
        road,
        first_filled(parts(code, lambda text: (postcode(text),))[0], found_code),
        first_filled(parts(town, _place)[0], parts(region, _place)[0]),
    ]
    whole = pc.binary_join_element_wise(*found, SEP)
    return pc.if_else(pc.equal(whole, 3 * SEP), None, whole).dictionary_encode()


def _street_parts(text: str | None) -> tuple[str, str, str]:
    number, road, code = street(text)
    return number, " ".join(road), code


def _words(text: str | None) -> tuple[str]:
    return (" ".join(tokens(text)),)


def _place(text: str | None) -> tuple[str]:
    return (place(text),)


class Addresses:
    """Parts of every distinct address; `head` is the longest word of the street."""

    def __init__(self, values: Sequence[str]) -> None:
        self.number, self.road, self.code, self.town = pieces(values, SEP, 4)
        self.head = cut_of(self.road, lambda road: max(road.split(" "), key=len))
        self.district = cut_of(self.code, postcode_district)
        self.code_ends = Ends(self.code, 1)


def house_of(values: Sequence[str]) -> Texts:
    """House number and longest word of the street."""
    return derive(values, _houses)


def _houses(values: Sequence[str]) -> Texts:
    parts = derive(values, Addresses)
    columns = [part.distinct.take(pa.array(part.codes)) for part in (parts.number, parts.head)]
    return Texts(pc.binary_join_element_wise(*columns, " "))


def road_of(values: Sequence[str]) -> Texts:
    """The street of an address."""
    return derive(values, Addresses).road


def postcode_of(values: Sequence[str]) -> Texts:
    """The postcode of an address."""
    return derive(values, Addresses).code


def town_of(values: Sequence[str]) -> Texts:
    """The town of an address."""
    return derive(values, Addresses).town


def compare(values: Sequence[str], left: Codes, right: Codes, _: Mapping[str, float]) -> Codes:
    """Levels of ADDRESS_LEVELS from house number, street, postcode and town together, since they depend on each other."""
    parts = derive(values, Addresses)
    number, road, code, town, head, district = (
        Both(part, left, right) for part in (parts.number, parts.road, parts.code, parts.town, parts.head, parts.district)
    )
    # What decides nothing is not compared: the spelling of towns under one postcode, of streets that are apart in any case.
    towns = town.equal | (alike(parts.town, left, parts.town, right, ~code.equal) >= 0.92)
    apart = (code.there & ~code.equal) & (town.there & ~towns)
    place = code.equal | towns
    matters = ~apart & (number.equal | ~number.there | place)
    streets = road.equal | head.equal | (alike(parts.road, left, parts.road, right, matters & ~head.equal) >= 0.9)
    near = parts.code_ends.one_slip(left, right, code.there & ~code.equal) | (district.equal & towns)
    return np.select(
        [
            ~(code.there | town.there | road.there | number.there),
            number.equal & streets & ~apart,
            number.equal & (place | (~code.there & ~town.there)) & ~streets,
            streets & (~number.there | place) & ~apart,
            code.equal,
            near,
            towns | district.equal,
        ],
        [0, 1, 2, 3, 4, 5, 6],
        default=7,
    )


def _shapes(values: Sequence[str]) -> Texts:
    """Which parts each address has: a letter each for number, road, code and town."""
    parts = derive(values, Addresses)
    there = np.stack([part.codes > 0 for part in (parts.number, parts.road, parts.code, parts.town)], axis=1)
    return Texts(["".join(letter for letter, has in zip(_PARTS, row, strict=True) if has) for row in there.tolist()])


def _possible(shares: Mapping[str, float]) -> tuple[float, ...]:
    """The share of pairs that can have each level: both addresses have the part that it is about."""
    number, road, code, town = (sum(share for shape, share in shares.items() if part in shape) ** 2 for part in _PARTS)
    house = sum(share for shape, share in shares.items() if "n" in shape and "r" in shape) ** 2
    return house, number, road, code, code, max(town, code), 1.0


def _field(place: int) -> Callable[[str], list[str]]:
    return lambda value: [found] if (found := value.split(SEP)[place]) else []


_house_number, _road_text, _postcode_text, _town = (_field(place) for place in range(4))


def _district(value: str) -> list[str]:
    return [postcode_district(code)] if (code := value.split(SEP)[2]) else []


def _house(value: str) -> list[str]:
    number, road, *_ = value.split(SEP)
    return [f"{number} {max(road.split(' '), key=len)}"] if number and road else []


def of_house(values: Sequence[str]) -> Array:
    """House number and longest word of the street."""
    parts = derive(values, Addresses)
    return mixed(of_part(parts.number, whole_text), of_part(parts.head, whole_text))


def of_address(part: str) -> Callable[[Sequence[str]], Array]:
    """One part of an address: number, road, code, town or district."""
    return lambda values: of_part(getattr(derive(values, Addresses), part), whole_text)


def house_number(value: str) -> list[str]:
    """The house number that a street line begins with."""
    return [value.split(" ")[0]] if value[0].isdigit() else []


def road_word(value: str) -> list[str]:
    """The longest word of a street line."""
    found = [word for word in value.split() if not word[0].isdigit()]
    return [max(found, key=len)] if found else []


HOUSE = Cutting("house", _house, 1, of_house)
HOUSE_NUMBER = Cutting("house number", _house_number, 1, of_address("number"))
ROAD = Cutting("road", _road_text, 1, of_address("road"))
POSTCODE = Cutting("postcode", _postcode_text, 1, of_address("code"))
DISTRICT = Cutting("district", _district, 1, of_address("district"))
TOWN = Cutting("town", _town, 1, of_address("town"))
# What keys can be cut from an address if one of these attributes is there.
_SOURCES = {
    HOUSE: {"street"}, POSTCODE: {"postcode", "street"}, HOUSE_NUMBER: {"house_number", "street"}, DISTRICT: {"postcode", "street"},
    TOWN: {"city", "region"},
}  # fmt: skip


def parts_of(plan: Plan) -> dict[str, Part]:
    """What keys can be cut from the postal address, by name, as far as its attributes can have it."""
    feature = plan.first("postal address")
    if feature is None:
        return {}
    there = plan.kinds_of(feature.name)
    return {cutting.name: cutting.part(feature.name) for cutting, sources in _SOURCES.items() if there & sources}


ADDRESS = Comparison(
    "address", "postal address", ADDRESS_LEVELS, compare, (0.5, 0.05, 0.05, 0.1, 0.05, 0.13, 0.12),
    (0.0005, 0.001, 0.001, 0.002, 0.002, 0.04, 0.9535), None, {1: house_of, 3: road_of, 4: postcode_of, 6: town_of},
    shapes=Shapes(_shapes, _possible, {_PARTS: 1.0}),
)  # fmt: skip


class PostalAddress(FeatureKind):
    """`<house number>SEP<street words>SEP<postcode>SEP<town>`."""

    name = "postal address"
    rest = (HOUSE, POSTCODE, ROAD, TOWN, HOUSE_NUMBER)

    def column(self, kinds: Sequence[str], values: Sequence[pa.Array], function: Function) -> pa.DictionaryArray:
        """Put together from parts that are standardised once each."""
        return _by_parts(dict(zip(kinds, values, strict=True)))


POSTAL_ADDRESS = PostalAddress()
