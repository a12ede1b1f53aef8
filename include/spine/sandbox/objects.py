"""Salesforce's objects besides contacts, accounts and opportunities, and what the describe of each object says.

Fields and types after Salesforce's "Object Reference" (Lead, User, Campaign) and "sObject Describe" of the REST API Developer Guide. The
custom object `Project__c` is what an organisation has made for itself; its formula field moves no time of change.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from spine.sandbox.names import dice
from spine.sandbox.tables import Table, from_millis, record_id
from spine.sandbox.world import World

SYSTEM = "Id IsDeleted CreatedDate LastModifiedDate SystemModstamp"
FIELDS = {
    "Lead": f"{SYSTEM} LastName FirstName Name Company Email Phone Title Status LeadSource IsConverted HasOptedOutOfEmail "
    "Street City State PostalCode Country",
    "User": "Id CreatedDate LastModifiedDate SystemModstamp Username LastName FirstName Name Email Phone Title CompanyName "
    "IsActive UserType Street City PostalCode Country",
    "Campaign": f"{SYSTEM} Name Type Status IsActive StartDate EndDate BudgetedCost ActualCost NumberOfLeads NumberOfContacts",
    "Project__c": f"{SYSTEM} Name Account__c Hours__c Rate__c Cost__c Started__c Open__c",
}
_TYPES = {
    "datetime": "CreatedDate LastModifiedDate SystemModstamp",
    "boolean": "IsDeleted HasOptedOutOfEmail IsActive IsConverted IsClosed IsWon Open__c",
    "currency": "AnnualRevenue Amount BudgetedCost ActualCost Rate__c Cost__c",
    "percent": "Probability", "int": "NumberOfLeads NumberOfContacts",
    "double": "Hours__c", "date": "Birthdate CloseDate StartDate EndDate Started__c", "email": "Email", "phone": "Phone", "url": "Website",
    "reference": "AccountId Account__c", "id": "Id", "picklist": "Status LeadSource Type StageName Industry UserType",
}  # fmt: skip
_TYPE_OF = {name: kind for kind, names in _TYPES.items() for name in names.split()}
_ADDRESSES = {"Contact": "MailingAddress", "Account": "BillingAddress", "Lead": "Address"}
_STATUSES = ("Open - Not Contacted", "Working - Contacted", "Closed - Not Converted")


def describe(name: str, fields: list[str]) -> dict[str, Any]:
    """What `describe` says of an object of which the user may read these fields; addresses are compound ones besides."""
    told = [_field(item) for item in fields]
    if name in _ADDRESSES:
        told.append(_field(_ADDRESSES[name]) | {"type": "address"})
    return {"name": name, "label": name.removesuffix("__c"), "custom": name.endswith("__c"), "queryable": True, "fields": told}


def _field(name: str) -> dict[str, Any]:
    kind = _TYPE_OF.get(name, "string")
    refers = kind == "reference"
    relation = {"AccountId": "Account", "Account__c": "Account__r"}.get(name)
    return {
        "name": name, "label": name, "type": kind, "referenceTo": ["Account"] if refers else [], "relationshipName": relation,
        "calculated": name == "Cost__c", "nillable": name != "Id",
    }  # fmt: skip


def lead(world: World, table: Table, slot: int) -> dict[str, Any]:
    """A person who is no customer yet, with the company as text."""
    person = world.person(table, slot)
    return {
        "FirstName": person.given or None, "LastName": person.family, "Name": f"{person.given} {person.family}".strip(),
        "Company": person.employer or "[not provided]", "Email": person.email.lower() or None, "Phone": person.phone or None,
        "Title": person.title or None, "Status": _STATUSES[slot % 3], "LeadSource": "Web" if slot % 2 else None, "IsConverted": False,
        "HasOptedOutOfEmail": slot % 19 == 0, "Street": person.street or None, "City": person.city or None, "State": person.state or None,
        "PostalCode": person.postcode or None, "Country": person.country or None,
    }  # fmt: skip


def user(world: World, table: Table, slot: int) -> dict[str, Any]:
    """Who works with the organisation's Salesforce; the first one is no person."""
    if slot == 0:
        own = {"Username": "autoproc@sandbox.example", "LastName": "Process", "FirstName": "Automated", "UserType": "AutomatedProcess"}
        return dict.fromkeys(FIELDS["User"].split()) | own | {"Name": "Automated Process", "Email": own["Username"], "IsActive": True}
    person = world.person(table, slot)
    mail = person.email.lower() or f"user{slot}@sandbox.example"
    return {
        "Username": f"{mail}.crm", "FirstName": person.given or None, "LastName": person.family,
        "Name": f"{person.given} {person.family}".strip(), "Email": mail, "Phone": person.phone or None, "Title": person.title or None,
        "CompanyName": person.employer or None, "IsActive": slot % 9 != 8, "UserType": "Standard", "Street": person.street or None,
        "City": person.city or None, "PostalCode": person.postcode or None, "Country": person.country or None,
    }  # fmt: skip


def campaign(world: World, table: Table, slot: int) -> dict[str, Any]:
    """What marketing has done."""
    rng = dice(world.key, table.stream.tag, slot, int(table.revision[slot]))
    starts = from_millis(table.created[slot]).date() + timedelta(days=rng.randrange(40))
    budget = round(rng.uniform(500, 60_000), 2)
    return {
        "Name": f"{rng.choice(('Spring', 'Summer', 'Autumn', 'Winter'))} {rng.choice(('webinar', 'fair', 'mailing', 'offer'))} {slot}",
        "Type": rng.choice(("Webinar", "Email", "Trade Show")), "Status": rng.choice(("Planned", "In Progress", "Completed")),
        "IsActive": slot % 4 != 3, "StartDate": starts.isoformat(), "EndDate": (starts + timedelta(days=14)).isoformat(),
        "BudgetedCost": budget, "ActualCost": round(budget * rng.uniform(0.5, 1.4), 2) if slot % 3 else None,
        "NumberOfLeads": rng.randrange(200), "NumberOfContacts": rng.randrange(900),
    }  # fmt: skip


def project(world: World, table: Table, slot: int) -> dict[str, Any]:
    """A row of a custom object, of an account."""
    rng = dice(world.key, table.stream.tag, slot, int(table.revision[slot]))
    accounts, number = world.table("salesforce", "accounts"), int(table.subject[slot])
    hours, rate = float(rng.randrange(1, 400)), float(rng.randrange(60, 200))
    return {
        "Name": f'Project {slot}, "{rng.choice(("North", "South"))}"\nphase {slot % 3}',
        "Account__c": record_id(accounts.stream, number) if number < len(accounts) else None,
        "Hours__c": hours, "Rate__c": rate, "Cost__c": hours * rate, "Open__c": slot % 2 == 0,
        "Started__c": from_millis(table.created[slot]).date().isoformat() if slot % 5 else None,
    }  # fmt: skip


MAKERS: dict[str, Callable[[World, Table, int], dict[str, Any]]] = {
    "Lead": lead, "User": user, "Campaign": campaign, "Project__c": project,
}  # fmt: skip
