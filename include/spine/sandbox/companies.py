"""The real organisations of a world, made on demand by number. A branch is the same organisation at another address."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import gcd

from spine.sandbox.names import ACTIVITIES, ADJECTIVES, COUNTRIES, COUNTRY_WEIGHTS, LEGAL_FORMS, NOUNS, dice, pool, slug
from spine.sandbox.places import Phone, Place, make_phone, make_place

_TAG = 11
_STEP = 1_000_003
_TLD = {"US": "com", "GB": "co.uk", "DE": "de", "FR": "fr", "ES": "es"}
_ACTIVITY = tuple(ACTIVITIES)
_SURNAMES = pool("US").surnames.words
_BRANDS = tuple(f"{adjective} {noun}" for adjective in ADJECTIVES for noun in NOUNS)
_TAKEN = {slug(name) for name in (*_SURNAMES, *_BRANDS)}
# A town that is also a surname or a brand would give two companies one name.
_CITIES = tuple(city for city in pool("US").cities.words if slug(city) not in _TAKEN)


@dataclass(frozen=True)
class Company:
    """One real organisation. `offices[0]` is its seat; `switchboard` is shared by everyone who works there."""

    number: int
    base: str
    form: str
    industry: str
    domain: str
    offices: tuple[Place, ...]
    phones: tuple[Phone, ...]
    revenue: int
    mail_style: int

    @property
    def switchboard(self) -> Phone:
        """The phone number of the seat."""
        return self.phones[0]


def _base_name(number: int, seed: int) -> tuple[str, str]:
    """A name that no other number of the same seed gets: a walk through all combinations in a fixed, scattered order."""
    heads = len(_SURNAMES) + len(_CITIES) + len(_BRANDS)
    size = heads * len(_ACTIVITY)
    step = _STEP if gcd(_STEP, size) == 1 else _STEP + 30
    lap, rest = divmod(number, size)
    head, activity = divmod((rest * step + seed % size) % size, len(_ACTIVITY))
    word = _ACTIVITY[activity]
    if head < len(_SURNAMES):
        first, second = _SURNAMES[head], _SURNAMES[(head * 7 + activity) % len(_SURNAMES)]
        name = f"{first} & {second} {word}" if activity % 3 == 0 else f"{first} {word}"
    elif head < len(_SURNAMES) + len(_CITIES):
        name = f"{_CITIES[head - len(_SURNAMES)]} {word}"
    else:
        name = f"{_BRANDS[head - len(_SURNAMES) - len(_CITIES)]} {word}"
    return (f"{name} {lap + 1}" if lap else name), ACTIVITIES[word]


def has_branches(number: int) -> bool:
    """Whether the organisation has more than one office: every fifth does."""
    return number % 5 == 0


@lru_cache(maxsize=20_000)
def make_company(seed: int, number: int) -> Company:
    """The organisation `number` of the world `seed`; always the same."""
    rng = dice(seed, _TAG, number)
    base, industry = _base_name(number, seed)
    country = rng.choices(COUNTRIES, COUNTRY_WEIGHTS)[0]
    offices = rng.randint(2, 5) if has_branches(number) else 1
    return Company(
        number=number,
        base=base,
        form=rng.choice(LEGAL_FORMS[country]),
        industry=industry,
        domain=f"{slug(base)}.{_TLD[country]}",
        offices=tuple(make_place(rng, country) for _ in range(offices)),
        phones=tuple(make_phone(rng, country) for _ in range(offices)),
        revenue=int(10 ** rng.uniform(5, 9)) // 1000 * 1000,
        mail_style=rng.randrange(4),
    )
