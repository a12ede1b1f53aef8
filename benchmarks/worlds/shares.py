"""What the file of a world states: shares of everything that makes records of one entity differ and those of strangers agree.

Unless said otherwise a share is of what the word counts: of persons, of records, of values.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from spine.core.declarations import Strict, load_declaration
from spine.core.errors import ConfigError
from spine.core.texts import nearest

GRID = Path(__file__).resolve().parent / "grid"
PERSON_COLUMNS = ("forename", "surname", "full_name", "birth_date", "email", "phone", "street", "city", "postcode", "country", "employer")
ORGANIZATION_COLUMNS = ("name", "website", "phone", "street", "city", "postcode", "country")
KINDS = {name: name for name in PERSON_COLUMNS} | {
    "birth_date": "date",
    "employer": "organization",
    "name": "organization",
    "website": "url",
}

Share = Annotated[float, Field(ge=0, le=1)]
Column = Literal[
    "forename", "surname", "full_name", "birth_date", "email", "phone", "street", "city", "postcode", "country", "employer",
    "name", "website",
]  # fmt: skip
Country = Literal[
    "US", "GB", "DE", "FR", "ES", "IT", "PT", "BR", "MX", "NL", "PL", "CZ", "SE", "HU", "TR", "RU", "UA", "GR", "CN", "JP", "KR",
    "EG", "IR",
]  # fmt: skip


def _whole(shares: dict[str, float]) -> dict[str, float]:
    if abs(sum(shares.values()) - 1) > 0.001:
        raise ValueError(f"shares add up to {sum(shares.values()):g}, not to 1")
    return shares


Mailboxes = Annotated[dict[Literal["none", "random", "initials", "name"], Share], AfterValidator(_whole)]
Telephones = Annotated[dict[Literal["mobile", "landline", "switchboard"], Share], AfterValidator(_whole)]
Websites = Annotated[dict[Literal["none", "name", "random"], Share], AfterValidator(_whole)]
Countries = Annotated[dict[Country, Share], AfterValidator(_whole)]
Sizes = Annotated[dict[Annotated[int, Field(ge=1)], Share], AfterValidator(_whole)]


class Channel(Strict):
    """How records come in, as shares of the values (or of the records) that each slip hits."""

    typo: Share = Field(default=0, description="A letter swapped, dropped, doubled or hit beside, of each text")
    scan: Share = Field(default=0, description="Letters and digits misread by a machine, of each text, number and date")
    digit: Share = Field(default=0, description="A digit wrong in telephone or postcode")
    swapped: Share = Field(default=0, description="Forename and surname change places")
    nickname: Share = Field(default=0, description="Forename by a pet form, where one is known")
    initial: Share = Field(default=0, description="Forename as its first letter")
    middle: Share = Field(default=0, description="A person's middle initial is written, where there is one")
    short: Share = Field(default=0, description="Of two surnames only the first")
    comma: Share = Field(default=0, description="Full name as `surname, forename`")
    latin: Share = Field(default=0, description="Names and places of other scripts in Latin letters, by one of two systems")
    capitals: Share = 0
    plain: Share = Field(default=0, description="Accents lost")
    placeholder: Share = Field(default=0, description="A filler such as `n/a`, `none@none.com`, `1900-01-01` instead of a value")
    year_only: Share = 0
    month_only: Share = Field(default=0, description="Year and month")
    circa: Share = Field(default=0, description="`ca. 1843`, wrong by up to two years")
    year_off: Share = Field(default=0, description="A birth year wrong by one to three")
    day_month: Share = Field(default=0, description="Day and month change places, where that is a date")
    date_off: Share = Field(default=0, description="A birth date wrong by up to nine days")
    abbreviated: Share = Field(default=0, description="Street types and words of organisations shortened")
    form: Share = Field(default=0, description="Legal form in another spelling")
    form_lost: Share = Field(default=0, description="Legal form left out")
    word_lost: Share = Field(default=0, description="A word of an organisation's name left out")
    city_added: Share = Field(default=0, description="An organisation's name with its city")


class Source(Strict):
    """One source: the channel its records come by and the columns it does not have.

    `share` is that of the entities' first records; since further ones go to other sources, small sources hold more than their share.
    """

    share: float = Field(gt=0)
    channel: str
    without: tuple[Column, ...] = ()


class Large(Strict):
    """Entities of many records: so many of all entities, `from` to `up_to` records each, small ones more often."""

    share: Share
    least: int = Field(ge=1, alias="from")
    most: int = Field(ge=2, alias="up_to")


class Changes(Strict):
    """Shares of the persons (moves: households, of organisations: those) to whom it happens once between their first and last record."""

    job: Share = 0
    marriage: Share = 0
    move: Share = 0
    phone: Share = 0
    mailbox: Share = 0
    rename: Share = 0


class People(Strict):
    """How persons live, are named and reached."""

    surnames: int = Field(default=25_000, ge=1, description="Distinct surnames of a country (fewer where a language has no more)")
    forenames: int = Field(default=2_500, ge=1)
    exponent: float = Field(default=0.95, description="The name of rank r is borne by (r + 8) ** -exponent of the people")
    abroad: Share = Field(default=0.04, description="Named as in another country of the world")
    middle_initials: Share = 0
    born: tuple[int, int] = (1935, 2005)
    households: Share = Field(default=0.3, description="Live with others: one surname mostly, one address, one landline")
    blocks: Share = Field(default=0.1, description="Households that share street and house with some ten others")
    twins: Share = 0
    generations: Share = Field(default=0, description="A father's name carried by a child of the household, or carrying it")
    suffixes: Share = Field(default=0.5, description="Records of those that say Jr. or Sr.")
    mailboxes: Mailboxes = Field(default={"none": 0.1, "random": 0.3, "initials": 0.2, "name": 0.4})
    free_mail: Share = Field(default=0.7, description="Records that show the private mailbox, at one of a few providers")
    household_mail: Share = Field(default=0, description="Households with one mailbox for all, shown in half of their records")
    role_mail: Share = Field(default=0, description="Company mailboxes that are everybody's: info@, sales@")
    employed: Share = 0.7
    per_company: float = Field(default=15, gt=0, description="Persons a company, on average")
    company_exponent: float = Field(default=0.8, description="The company of rank r employs r ** -exponent of the people")
    telephones: Telephones = Field(default={"mobile": 0.6, "landline": 0.3, "switchboard": 0.1})
    changes: Changes = Changes()


class Branches(Strict):
    """So many of all organisations, and up to so many of them together or sites of one."""

    share: Share = 0
    most: int = Field(default=5, ge=2, alias="up_to")


class Organizations(Strict):
    """How organisations are named, housed and reached."""

    generic: Share = Field(default=0, description="Named like strangers elsewhere: First Baptist Church, Pizzeria Roma")
    websites: Websites = Field(default={"none": 0.2, "name": 0.7, "random": 0.1})
    branches: Branches = Field(default=Branches(), description="One organisation at several addresses: same name and website")
    bodies: Branches = Field(
        default=Branches(), description="Several in one house, of one telephone and website: a school's clinic and library"
    )
    chains: Branches = Field(default=Branches(), description="Several of one brand and website at addresses of their own")
    blocks: Share = Field(default=0.1, description="Share street and house with some ten others")
    changes: Changes = Changes()


class World(Strict):
    """One world. `split` says whether ideas may be developed on it or are judged on it. Exactly one of `people` and `organizations`."""

    world: str
    about: str
    split: Literal["develop", "judge"]
    seed: int
    sizes: Sizes
    large: Large | None = None
    duplicates: Share = Field(default=0.1, description="Further records of an entity that come from a source which has it already")
    sources: tuple[Source, ...] = Field(min_length=1)
    channels: dict[str, Channel]
    countries: Countries
    columns: tuple[Column, ...] = Field(min_length=1)
    missing: dict[Column, Share] = Field(default={})
    people: People | None = None
    organizations: Organizations | None = None

    @property
    def entity(self) -> str:
        """`person` or `organization`."""
        return "person" if self.people else "organization"

    @model_validator(mode="after")
    def _fits(self) -> World:
        if (self.people is None) == (self.organizations is None):
            raise ValueError("needs `people` or `organizations`, one of the two")
        known = PERSON_COLUMNS if self.people else ORGANIZATION_COLUMNS
        if unknown := [name for name in self.columns if name not in known]:
            raise ValueError(f"{unknown[0]!r} is no column of a {self.entity}{nearest(unknown[0], known)}")
        for source in self.sources:
            if source.channel not in self.channels:
                raise ValueError(f"source by an unknown channel {source.channel!r}{nearest(source.channel, self.channels)}")
        used = [*self.missing, *(name for source in self.sources for name in source.without)]
        if absent := [name for name in used if name not in self.columns]:
            raise ValueError(f"{absent[0]!r} is missing or left out, but is none of the columns")
        return self


def names() -> list[str]:
    """The worlds of the grid."""
    return sorted(path.stem for path in GRID.glob("*.yaml"))


def load(name: str) -> World:
    """A world of the grid by name. Raises ConfigError: no such world, or what is wrong in its file at which line."""
    path = GRID / f"{name}.yaml"
    if not path.is_file():
        raise ConfigError(f"no world {name!r}{nearest(name, names())}", hint=f"Known are {', '.join(names())}")
    return load_file(path)


def load_file(path: Path) -> World:
    """The world that a file states. Raises ConfigError."""
    return load_declaration(path, World)
