"""Word lists of the world: names with real-life skew, cities, streets, company words. Drawn once from mimesis, no I/O.

The heads of the surname lists are each country's commonest names, since a plain generator draws all names equally often.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import accumulate
from random import Random

from mimesis import Address, Locale, Person
from mimesis.enums import Gender

_MASK = (1 << 64) - 1
_DRAWS = 8000
COUNTRIES = ("US", "GB", "DE", "FR", "ES")
COUNTRY_WEIGHTS = (62, 14, 11, 7, 6)
COUNTRY_NAMES = {"US": "United States", "GB": "United Kingdom", "DE": "Germany", "FR": "France", "ES": "Spain"}
_LOCALES = {"US": Locale.EN, "GB": Locale.EN_GB, "DE": Locale.DE, "FR": Locale.FR, "ES": Locale.ES}
_COMMON = {
    "US": "Smith Johnson Williams Brown Jones Garcia Miller Davis Rodriguez Martinez Wilson Anderson Thomas Taylor Moore Lee",
    "GB": "Smith Jones Taylor Brown Williams Wilson Johnson Davies Patel Robinson Wright Thompson Evans Walker White",
    "DE": "Müller Schmidt Schneider Fischer Weber Meyer Wagner Becker Schulz Hoffmann Schäfer Koch Bauer Richter",
    "FR": "Martin Bernard Thomas Petit Robert Richard Durand Dubois Moreau Laurent Simon Michel Lefèvre Leroy",
    "ES": "García Rodríguez González Fernández López Martínez Sánchez Pérez Gómez Martín Jiménez Ruiz Hernández",
}
NICKNAMES = {
    "William": "Bill", "Robert": "Bob", "Elizabeth": "Liz", "Margaret": "Peggy", "James": "Jim", "John": "Jack",
    "Thomas": "Tom", "Richard": "Dick", "Katherine": "Kate", "Catherine": "Cathy", "Michael": "Mike", "Daniel": "Dan",
    "Edward": "Ted", "Joseph": "Joe", "Charles": "Chuck", "Christopher": "Chris", "Matthew": "Matt", "Anthony": "Tony",
    "Patricia": "Pat", "Jennifer": "Jen", "Susan": "Sue", "Barbara": "Barb", "Alexander": "Alex", "Samuel": "Sam",
    "Benjamin": "Ben", "Nicholas": "Nick", "Andrew": "Andy", "Steven": "Steve", "Rebecca": "Becky", "Deborah": "Debbie",
    "Victoria": "Vicky", "Jessica": "Jess", "Kimberly": "Kim", "Timothy": "Tim", "Gregory": "Greg", "Jeffrey": "Jeff",
    "Kenneth": "Ken", "Ronald": "Ron", "Donald": "Don", "Stephen": "Steve", "Lawrence": "Larry", "Raymond": "Ray",
}  # fmt: skip
_COMMON_GIVEN = {
    Gender.MALE: "James Robert John Michael William David Richard Joseph Thomas Christopher Charles Daniel Matthew Anthony Edward",
    Gender.FEMALE: "Mary Patricia Jennifer Elizabeth Barbara Susan Jessica Margaret Katherine Rebecca Deborah Victoria Kimberly",
}
FREE_MAIL = ("gmail.com", "yahoo.com", "hotmail.com", "outlook.com", "icloud.com", "gmx.de", "web.de", "orange.fr")
FREE_MAIL_WEIGHTS = (50, 14, 10, 10, 6, 5, 3, 2)
ADJECTIVES = (
    "Blue", "Silver", "Northern", "Bright", "Golden", "Grand", "Prime", "Summit", "United", "Pacific", "Atlantic", "Royal",
    "Iron", "Clear", "Red", "Green", "Swift", "Western", "Eastern", "Global", "Noble", "Stone", "Crystal", "First", "Liberty",
    "Union", "Central", "Modern", "Alpine", "Coastal", "Delta", "Evergreen",
)  # fmt: skip
NOUNS = (
    "Harbor", "River", "Field", "Oak", "Ridge", "Valley", "Bridge", "Star", "Lake", "Hill", "Forest", "Point", "Bay", "Crest",
    "Stream", "Mountain", "Anchor", "Falcon", "Bear", "Eagle", "Lion", "Gate", "Tower", "Garden", "Spring", "Cedar", "Maple",
    "Arrow", "Compass", "Beacon", "Horizon", "Meadow", "Orchard", "Mill", "Canyon", "Island", "Peak", "Shore", "Grove", "Haven",
)  # fmt: skip
ACTIVITIES = {
    "Logistics": "Transportation", "Foods": "Food & Beverage", "Consulting": "Consulting", "Software": "Technology",
    "Construction": "Construction", "Insurance": "Insurance", "Dental": "Healthcare", "Motors": "Manufacturing",
    "Energy": "Energy", "Media": "Media", "Textiles": "Apparel", "Plumbing": "Construction", "Systems": "Technology",
    "Partners": "Consulting", "Foundation": "Not For Profit", "Hotels": "Hospitality", "Pharmacy": "Healthcare",
    "Academy": "Education", "Chemicals": "Chemicals", "Electric": "Utilities", "Farms": "Agriculture", "Bank": "Banking",
    "Realty": "Finance", "Printing": "Manufacturing", "Travel": "Recreation", "Security": "Consulting",
    "Design": "Media", "Machinery": "Machinery", "Steel": "Manufacturing", "Telecom": "Communications",
    "Labs": "Biotechnology", "Freight": "Transportation", "Catering": "Food & Beverage", "Group": "Finance",
    "Services": "Consulting", "Industries": "Manufacturing", "Solutions": "Technology", "Trading": "Retail",
    "Holdings": "Finance", "Supplies": "Retail",
}  # fmt: skip
LEGAL_FORMS = {
    "US": ("Inc", "LLC", "Corp"), "GB": ("Ltd", "PLC"), "DE": ("GmbH", "AG"), "FR": ("SARL", "SA"), "ES": ("SL", "SA"),
}  # fmt: skip
LEGAL_VARIANTS = {
    "Inc": ("Inc", "Inc.", "Incorporated", "INC"), "LLC": ("LLC", "L.L.C.", "Llc"), "Corp": ("Corp", "Corp.", "Corporation"),
    "Ltd": ("Ltd", "Ltd.", "Limited", "LTD"), "PLC": ("PLC", "plc"), "GmbH": ("GmbH", "G.m.b.H.", "Gesellschaft mbH"),
    "AG": ("AG", "Aktiengesellschaft"), "SARL": ("SARL", "S.A.R.L."), "SA": ("SA", "S.A."), "SL": ("SL", "S.L."),
}  # fmt: skip


def mix(*parts: int) -> int:
    """One 64-bit seed out of several numbers; the same on every machine and in every process."""
    state = 0x9E3779B97F4A7C15
    for part in parts:
        state = ((state ^ (part & _MASK)) * 0xBF58476D1CE4E5B9) & _MASK
        state ^= state >> 29
        state = (state * 0x94D049BB133111EB) & _MASK
        state ^= state >> 32
    return state


def dice(*parts: int) -> Random:
    """A random generator that belongs to these numbers."""
    return Random(mix(*parts))


@lru_cache(maxsize=50_000)
def slug(text: str) -> str:
    """Lower-case ASCII letters and digits of a text, as in a domain or mailbox name."""
    folded = text.replace("ß", "ss").replace("ø", "o").replace("&", "and")
    plain = unicodedata.normalize("NFKD", folded).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]", "", plain.lower())


@dataclass(frozen=True)
class Skewed:
    """A list whose rank-r entry is drawn with weight (r + 4) ** -exponent."""

    words: tuple[str, ...]
    cumulative: tuple[float, ...]

    def draw(self, rng: Random) -> str:
        """One word."""
        return self.words[bisect(self.cumulative, rng.random() * self.cumulative[-1], 0, len(self.words) - 1)]


@dataclass(frozen=True)
class Pool:
    """All word lists of one country."""

    surnames: Skewed
    male: Skewed
    female: Skewed
    cities: Skewed
    streets: tuple[str, ...]
    states: tuple[str, ...]


def _skewed(words: list[str], exponent: float) -> Skewed:
    unique = tuple(dict.fromkeys(words))
    return Skewed(unique, tuple(accumulate((rank + 5) ** -exponent for rank in range(len(unique)))))


def _drawn(produce: Callable[[], str], times: int = _DRAWS) -> list[str]:
    return list(dict.fromkeys(produce() for _ in range(times)))


@cache
def pool(country: str) -> Pool:
    """The word lists of one of COUNTRIES."""
    person, address = Person(_LOCALES[country], seed=1), Address(_LOCALES[country], seed=1)
    english = country in ("US", "GB")

    def given(gender: Gender) -> Skewed:
        common = _COMMON_GIVEN[gender].split() if english else []
        return _skewed(common + _drawn(lambda: person.first_name(gender=gender)), 0.85)

    def street() -> str:
        name = address.street_name()
        return f"{name} {address.street_suffix()}" if english or country == "FR" else name

    return Pool(
        surnames=_skewed(_COMMON[country].split() + _drawn(person.surname), 0.75),
        male=given(Gender.MALE),
        female=given(Gender.FEMALE),
        cities=_skewed([city for city in _drawn(address.city) if city[0].isupper()], 0.7),
        streets=tuple(_drawn(street, 1500)),
        states=tuple(_drawn(address.state, 300)),
    )
