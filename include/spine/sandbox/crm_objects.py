"""HubSpot's objects besides contacts, companies and deals: tickets, owners, a custom object; and what objects belong to.

Written after developers.hubspot.com/docs: "CRM API | Tickets", "| Owners", "| Schemas", "| Properties", "| Associations v4".
"""

from __future__ import annotations

from typing import Any

from spine.sandbox.names import dice
from spine.sandbox.tables import Table, from_millis, record_id
from spine.sandbox.world import World

CARS = "2-3465404"
_SUBJECTS = ("Invoice is wrong", "Cannot log in", "Delivery is late", "Question about the contract")


def ticket(world: World, table: Table, slot: int) -> dict[str, str | None]:
    """A question of a contact."""
    rng = dice(world.key, table.stream.tag, slot, int(table.revision[slot]))
    closed = rng.random() < 0.4
    return {
        "subject": f"{rng.choice(_SUBJECTS)} ({slot})", "content": "Please help." if slot % 4 else None, "hs_pipeline": "0",
        "hs_pipeline_stage": "4" if closed else rng.choice("123"), "hs_ticket_priority": rng.choice(("LOW", "MEDIUM", "HIGH", "")) or None,
        "source_type": rng.choice(("EMAIL", "CHAT", "FORM")), "hs_ticket_category": None,
        "closed_date": from_millis(table.modified[slot]).isoformat().replace("+00:00", "Z") if closed else None,
    }  # fmt: skip


def car(world: World, table: Table, slot: int) -> dict[str, str | None]:
    """A row of a custom object."""
    rng = dice(world.key, table.stream.tag, slot, int(table.revision[slot]))
    return {
        "model": rng.choice(("Roadster", "Van", "Estate")), "year": str(rng.randrange(1990, 2026)), "color": "" if slot % 3 else "red",
        "date_received": str(int(table.created[slot])), "notes": None,
    }  # fmt: skip


def owner(world: World, table: Table, slot: int, moment: Any) -> dict[str, Any]:
    """Who uses the account."""
    person = world.person(table, slot)
    return {
        "id": record_id(table.stream, slot), "email": person.email.lower() or f"owner{slot}@sandbox.example", "type": "PERSON",
        "firstName": person.given, "lastName": person.family, "userId": 900_000 + slot, "userIdIncludingInactive": 900_000 + slot,
        "createdAt": moment(table.created[slot]), "updatedAt": moment(table.modified[slot]),
        "archived": bool(table.deleted[slot]), "teams": [],
    }  # fmt: skip


def companies_of(world: World, contact: int) -> list[str]:
    """The companies of a contact, the primary one first; some have a second one."""
    contacts, companies = world.table("hubspot", "contacts"), world.table("hubspot", "companies")
    if contact in contacts.loaded:
        return []
    number = world.person(contacts, contact).company
    first = int(world.company_of[number]) if 0 <= number < len(world.company_of) else -1
    if first < 0:
        return []
    others = [(first + 1) % len(companies)] if contact % 7 == 0 else []
    return [record_id(companies.stream, slot) for slot in dict.fromkeys([first, *others])]
