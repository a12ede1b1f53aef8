"""Commands that explain identity and ask for it: why, how, lookup."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from spine.cli import evidence, show, world
from spine.cli.options import DEFAULT_TENANT, Json, Tenant, grouped
from spine.core.errors import ConfigError

EntityName = Annotated[str, typer.Option("--entity", "-e", help="Kind of entity: person, organization, …")]
Ref = Annotated[str, typer.Argument(help="Reference of a record: source:stream:id.", show_default=False)]
Limit = Annotated[int, typer.Option(help="Rows of each list at most.", min=1)]
Value = str | None


def why(left: Ref, right: Ref, entity: EntityName = "person", tenant: Tenant = DEFAULT_TENANT, json: Json = False) -> None:
    """Why two source records are one, or are not: the weight of every attribute, and what decided.

    Scores them now with the newest weights, whether or not matching ever compared them. Weights are bits: one bit doubles the odds.

      spine why salesforce:contacts:003A hubspot:contacts:51
      spine why salesforce:accounts:001B hubspot:companies:7 --entity organization --json
    """
    with show.working("Weigh the evidence"):
        world.lake()
        from spine.gold.evidence import why as job

        found = job(left, right, entity=entity, tenant=tenant)
    show.as_json(found) if json else evidence.pair(evidence.console(), found)


def how(
    entity_id: Annotated[str, typer.Argument(help="Id of a golden record, also a former one.", metavar="ENTITY", show_default=False)],
    entity: EntityName = "person",
    tenant: Tenant = DEFAULT_TENANT,
    limit: Limit = 20,
    json: Json = False,
) -> None:
    """How a golden record came together: its records, the order in which they joined, the weakest link, and its past.

    spine how per_4q3v8c0m2k5w7x9z1b3d5f7h9k
    """
    with show.working(f"Read how {entity_id} came together"):
        world.lake()
        from spine.gold.evidence import how as job

        found = job(entity_id, entity=entity, tenant=tenant)
    show.as_json(found) if json else evidence.entity(evidence.console(), found, limit)


@dataclass(frozen=True)
class Known:
    """What is known of whom is looked for."""

    name: Annotated[Value, typer.Option(help="Whole name of a person or an organisation.")] = None
    given_name: Annotated[Value, typer.Option(help="Given name.")] = None
    family_name: Annotated[Value, typer.Option(help="Family name.")] = None
    email: Annotated[Value, typer.Option(help="E-mail address.")] = None
    phone: Annotated[Value, typer.Option(help="Telephone number.")] = None
    birth_date: Annotated[Value, typer.Option(help="Date of birth, such as 1980-02-29.")] = None
    street: Annotated[Value, typer.Option(help="Street and house number.")] = None
    postcode: Annotated[Value, typer.Option(help="Postal code.")] = None
    city: Annotated[Value, typer.Option(help="Town or city.")] = None
    website: Annotated[Value, typer.Option(help="Website of an organisation.")] = None
    other: Annotated[list[str] | None, typer.Option("--with", help="Any other attribute; may be given again.", metavar="FIELD=VALUE")] = (
        None
    )

    def values(self, entity: str) -> dict[str, str]:
        """The values by the entity's own fields. Raises ConfigError."""
        from spine.gold.lookup import values_by_kind

        kinds = {
            "name": self.name, "forename": self.given_name, "surname": self.family_name, "email": self.email, "phone": self.phone,
            "date": self.birth_date, "street": self.street, "postcode": self.postcode, "city": self.city, "url": self.website,
        }  # fmt: skip
        return values_by_kind(entity, kinds) | _others(self.other or [])


@grouped
def lookup(
    known: Known,
    entity: EntityName = "person",
    tenant: Tenant = DEFAULT_TENANT,
    limit: Annotated[int, typer.Option(help="Golden records at most.", min=1)] = 5,
    json: Json = False,
) -> None:
    """Find the golden record of given values in published Gold, with the weights of matching, in milliseconds.

    spine lookup --name "Jane Okonkwo" --email jane@acme.com
    spine lookup --family-name Okonkwo --birth-date 1980-02-29 --postcode "LS1 4AP" --json
    spine lookup --entity organization --name "Acme Ltd" --website acme.com
    """
    from spine.control.database import Database
    from spine.gold.lookup import Lookup

    values = known.values(entity)
    database = Database(world.control_url())
    try:
        warm = Lookup(database, entity, tenant)
        warm.load()
        answer = warm.find(values, limit)
    finally:
        database.close()
    found = {**vars(answer), "hits": [vars(hit) for hit in answer.hits]}
    show.as_json(found) if json else evidence.answer(evidence.console(), found)


def _others(given: list[str]) -> dict[str, str]:
    wrong = [text for text in given if "=" not in text]
    if wrong:
        raise ConfigError(f"--with {wrong[0]} has no value", hint="Write it as --with FIELD=VALUE")
    return dict(text.split("=", 1) for text in given)
