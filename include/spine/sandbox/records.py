"""How a real person or company looks in one system: which fields are filled, and with which slips. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from spine.sandbox import noise
from spine.sandbox.companies import Company
from spine.sandbox.names import COUNTRY_NAMES
from spine.sandbox.people import Person, PersonRecord, country_name, employer_of, work_mail
from spine.sandbox.places import write_phone, write_street

BASE, COPY, FORMER = 0, 1, 2
_TITLES = ("Account Manager", "Engineer", "Director", "Buyer", "Analyst", "Owner", "Office Manager", "CFO", "Consultant", "")


@dataclass(frozen=True)
class CompanyRecord:
    """A company as one system holds it; empty text where a field is missing."""

    name: str
    phone: str
    street: str
    city: str
    state: str
    postcode: str
    country: str
    domain: str
    industry: str
    revenue: int | None


def _email(person: Person, company: Company | None, rng: Random, rate: float) -> str:
    """Most people give the same one of their two mailboxes everywhere; some give none, or their company's info@."""
    roll, usual = rng.random(), rng.random() < 0.8
    if roll < 0.08 * min(rate, 2):
        return ""
    if company is None or (person.number % 2 == 0) != usual:
        return person.family_mail or _slip(person.private_mail, rng, rate)
    return f"info@{company.domain}" if roll > 0.95 else _slip(work_mail(person, company), rng, rate)


def _slip(mail: str, rng: Random, rate: float) -> str:
    local, _, domain = mail.partition("@")
    if rng.random() < 0.012 * rate:
        local = noise.typo(local, rng)
    return f"{local}@{domain}" if rng.random() > 0.03 else f"{local}@{domain}".upper()


def _phone(person: Person, company: Company | None, rng: Random) -> str:
    """Nothing, the mobile (mostly), the family's landline, or the switchboard that all colleagues share."""
    roll = rng.random()
    if roll < 0.15:
        return ""
    if roll < 0.68:
        return write_phone(person.mobile, rng)
    if company is not None and roll < 0.88:
        return write_phone(company.switchboard, rng)
    return write_phone(person.landline, rng)


def person_record(seed: int, person: Person, kind: int, rng: Random, rate: float = 1.0) -> PersonRecord:
    """The person as entered into a system; `kind` FORMER shows the old job, `rate` scales the slips."""
    company = employer_of(seed, person, kind == FORMER)
    given, family = noise.given_name(person.given, rng, rate), person.family
    if rng.random() < 0.02 * rate:
        family = noise.typo(family, rng)
    if rng.random() < 0.15:
        given, family = noise.plain(given), noise.plain(family)
    if rng.random() < 0.012 * rate:
        given, family = family, given
    given, family = (noise.letter_case(part, rng) for part in (given, family))
    if rng.random() < 0.015:
        given = ""
    home, has_home = person.home, rng.random() < 0.8
    return PersonRecord(
        given=given,
        family=family,
        email=_email(person, company, rng, rate),
        phone=_phone(person, company, rng),
        street=write_street(home.street, rng) if has_home else "",
        city=home.city if has_home else "",
        state=home.state if has_home else "",
        postcode=home.postcode if has_home and rng.random() < 0.95 else "",
        country=country_name(home.country, rng) if has_home else "",
        country_code=home.country,
        born=person.born.isoformat() if rng.random() < 0.94 else "",
        employer=noise.company_name(company.base, company.form, rng, rate) if company and rng.random() < 0.9 else "",
        company=company.number if company else -1,
        title=rng.choice(_TITLES),
    )


def company_record(company: Company, office: int, rng: Random, rate: float = 1.0) -> CompanyRecord:
    """The company as entered into a system, seen at its office number `office` (0 is the seat)."""
    spot = office % len(company.offices)
    place, has_place = company.offices[spot], rng.random() < 0.85
    name = noise.company_name(company.base, company.form, rng, rate)
    if spot and rng.random() < 0.7:
        name = f"{name} {rng.choice(('- ', '/ ', ''))}{place.city}"
    return CompanyRecord(
        name=name,
        phone=write_phone(company.phones[spot], rng) if rng.random() < 0.8 else "",
        street=write_street(place.street, rng) if has_place else "",
        city=place.city if has_place else "",
        state=place.state if has_place else "",
        postcode=place.postcode if has_place else "",
        country=COUNTRY_NAMES[place.country] if has_place else "",
        domain=company.domain if rng.random() < 0.75 else "",
        industry=company.industry,
        revenue=company.revenue if rng.random() < 0.6 else None,
    )
