"""The records that are read: customers as a system of business has them, the same over HTTP and in a table."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

BEGINS = datetime(2024, 1, 1, tzinfo=UTC)
_FIRST = ("Ana", "Björn", "Chloé", "Dmitri", "Emeka", "Fatima", "Grace", "Hiro", "Inés", "Jürgen", "Kwame")
_LAST = (
    "Álvarez",
    "Brown",
    "Chen",
    "Dubois",
    "Eriksson",
    "Fischer",
    "García",
    "Haddad",
    "Ivanova",
    "Jones",
    "Kowalski",
    "Lindqvist",
    "Müller",
)
_STATUS = ("active", "trial", "churned")


def records(start: int, end: int) -> Iterator[dict[str, Any]]:
    """Records of these numbers."""
    for number in range(start, end):
        first, last = _FIRST[number % len(_FIRST)], _LAST[number % len(_LAST)]
        at = BEGINS + timedelta(seconds=number)
        yield {
            "id": f"cus_{number:09d}",
            "first_name": first,
            "last_name": last,
            "email": f"customer{number}@example.com",
            "phone": f"+4930{number:08d}",
            "status": _STATUS[number % len(_STATUS)],
            "balance": number % 100_000 / 100,
            "orders": number % 97,
            "vip": number % 50 == 0,
            "address": {
                "street": f"{number % 500} Main Street",
                "city": "Springfield",
                "postal_code": f"{number % 100_000:05d}",
                "country": "US",
            },
            "created_at": (at - timedelta(days=365)).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "updated_at": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
