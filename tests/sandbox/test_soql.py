"""SOQL: what an extractor sends is understood, everything else is refused as the service does."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from spine.sandbox.soql import Compare, Logic, SoqlError, names_in, parse


def test_a_query_with_everything() -> None:
    query = parse(
        "SELECT Id, Name FROM Contact WHERE LastModifiedDate >= 2026-01-01T00:00:00Z AND (Email != null OR IsDeleted = true) "
        "ORDER BY LastModifiedDate ASC NULLS FIRST, Id DESC LIMIT 10 OFFSET 5"
    )
    assert (query.fields, query.object, query.limit, query.offset) == (["Id", "Name"], "Contact", 10, 5)
    assert query.order == [("LastModifiedDate", False), ("Id", True)]
    since = Compare("LastModifiedDate", ">=", datetime(2026, 1, 1, tzinfo=UTC))
    either = Logic("OR", (Compare("Email", "!=", None), Compare("IsDeleted", "=", True)))
    assert query.where == Logic("AND", (since, either))
    assert names_in(query) == ["Id", "Name", "LastModifiedDate", "Email", "IsDeleted", "LastModifiedDate", "Id"]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (r"Name = 'O\'Hara'", Compare("Name", "=", "O'Hara")),
        ("Name IN ('a', 'b')", Compare("Name", "IN", ("a", "b"))),
        ("Name NOT IN ('a')", Compare("Name", "NOTIN", ("a",))),
        ("NOT Name = 'a'", Logic("NOT", (Compare("Name", "=", "a"),))),
        ("Amount <> 3.5", Compare("Amount", "!=", 3.5)),
        ("CloseDate < 2026-02-01", Compare("CloseDate", "<", "2026-02-01")),
        ("CreatedDate < 2026-01-01T01:00:00+01:00", Compare("CreatedDate", "<", datetime(2026, 1, 1, tzinfo=UTC))),
    ],
)
def test_conditions(condition: str, expected: object) -> None:
    assert parse(f"SELECT Id FROM Account WHERE {condition}").where == expected


@pytest.mark.parametrize(
    "text",
    ["", "SELECT", "SELECT FROM Contact", "SELECT Id", "SELECT Id FROM Contact WHERE", "SELECT Id FROM Contact LIMIT x",
     "SELECT Id FROM Contact WHERE Name", "SELECT Id FROM Contact WHERE Name = abc", "SELECT Id FROM Contact nonsense",
     "SELECT Id FROM Contact WHERE (Name = 'a'", "SELECT Id; FROM Contact", "SELECT Id FROM Contact WHERE Name ( 'a'"],
)  # fmt: skip
def test_malformed_queries(text: str) -> None:
    with pytest.raises(SoqlError) as refusal:
        parse(text)
    assert refusal.value.code == "MALFORMED_QUERY"


def test_count() -> None:
    assert parse("SELECT COUNT() FROM Contact").counts
