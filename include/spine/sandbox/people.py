"""The real persons of a world, made on demand by number: families, namesakes, jobs and mailboxes.

Four neighbouring numbers may form a family with one surname, address, landline and now and then one mailbox; a son may
carry his father's name, twins share a birth date. Every person keeps one mobile number and one private mailbox.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from spine.sandbox.companies import Company, make_company
from spine.sandbox.names import COUNTRY_NAMES, FREE_MAIL, FREE_MAIL_WEIGHTS, dice, pool, slug
from spine.sandbox.places import Phone, Place, make_phone, make_place

_PERSON, _FAMILY, _HOME = 21, 22, 23
_FAMILY_OF = 4


@dataclass(frozen=True)
class Person:
    """One real person. `employer` and `former` are company numbers, -1 for none."""

    number: int
    given: str
    family: str
    born: date
    home: Place
    mobile: Phone
    landline: Phone
    private_mail: str
    family_mail: str
    employer: int
    former: int


@dataclass(frozen=True)
class _Household:
    key: int
    rank: int
    size: int


def _household(seed: int, number: int) -> _Household:
    """Which household a person belongs to: couples, parents with a child, families of four, and singles."""
    block, position = divmod(number, _FAMILY_OF)
    roll = dice(seed, _FAMILY, block).random()
    size = 2 if roll < 0.28 else 3 if roll < 0.40 else 4 if roll < 0.48 else 1
    if position < size and size > 1:
        return _Household(block * _FAMILY_OF, position, size)
    return _Household(number, 0, 1)


def _job(rng: Random, companies: int) -> int:
    """A company number; low numbers are large employers."""
    return int(companies * rng.random() ** 1.5)


def _born(house: _Household, home: Random, rng: Random) -> date:
    head = date(1948, 1, 1) + timedelta(days=home.randrange(365 * 40))
    if house.rank == 0:
        return head
    if house.rank == 1:
        return head + timedelta(days=rng.randrange(-2200, 2200))
    child = head + timedelta(days=365 * 22 + home.randrange(365 * 8))
    twins = home.random() < 0.25
    return child if twins or house.rank == 2 else child + timedelta(days=rng.randrange(400, 1600))


def make_person(seed: int, number: int, companies: int) -> Person:
    """The person `number` of the world `seed` with `companies` organisations; always the same."""
    house, rng = _household(seed, number), dice(seed, _PERSON, number)
    home = dice(seed, _HOME, house.key)
    place = make_place(home)
    words = pool(place.country)
    family, landline, father, mail_key = words.surnames.draw(home), make_phone(home, place.country), words.male.draw(home), home.random()
    male = house.rank == 0 if house.size > 1 and house.rank < 2 else rng.random() < 0.5
    given = (words.male if male else words.female).draw(rng)
    if house.size > 1 and (house.rank == 0 or (house.rank == 2 and rng.random() < 0.12)):
        given = father
    if rng.random() < 0.05:
        family = f"{family}-{words.surnames.draw(rng)}"
    mailbox = rng.choice(("{g}.{f}{n}", "{g}{n}", "{f}.{g}{n}", "{i}{f}{n}")).format(
        g=slug(given), f=slug(family), i=slug(given)[:1], n=number + 10
    )
    return Person(
        number=number,
        given=given,
        family=family,
        born=_born(house, home, rng),
        home=place,
        mobile=make_phone(rng, place.country),
        landline=landline,
        private_mail=f"{mailbox}@{rng.choices(FREE_MAIL, FREE_MAIL_WEIGHTS)[0]}",
        family_mail=f"the.{slug(family)}s{house.key}@gmail.com" if house.size > 1 and mail_key < 0.12 else "",
        employer=_job(rng, companies) if rng.random() < 0.88 else -1,
        former=_job(rng, companies) if rng.random() < 0.25 else -1,
    )


def work_mail(person: Person, company: Company) -> str:
    """The mailbox that a company gives its people; namesakes in one company are told apart by a number."""
    given, family = slug(person.given), slug(person.family)
    number = "" if person.number % 5 else str(person.number)
    local = (f"{given}.{family}", f"{given}_{family}", f"{family}.{given}", f"{given[:1]}{family}{person.number % 1000}")[
        company.mail_style
    ]
    return f"{local}{number}@{company.domain}"


@dataclass(frozen=True)
class PersonRecord:
    """A person as one system holds them; empty text where a field is missing. `company` is a number, -1 for none."""

    given: str
    family: str
    email: str
    phone: str
    street: str
    city: str
    state: str
    postcode: str
    country: str
    country_code: str
    born: str
    employer: str
    company: int
    title: str


def employer_of(seed: int, person: Person, former: bool) -> Company | None:
    """The company a record names: today's, or the former one in a record that nobody updated."""
    number = person.former if former and person.former >= 0 else person.employer
    return make_company(seed, number) if number >= 0 else None


def country_name(code: str, rng: Random) -> str:
    """The country in full or as ISO code."""
    return code if rng.random() < 0.15 else COUNTRY_NAMES[code]
