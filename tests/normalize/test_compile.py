"""A payload becomes a canonical entity by its mapping; nothing of it is lost."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from spine.core.entities import Entity, load_entity
from spine.core.errors import ConfigError
from spine.core.mapping import Mapping
from spine.normalize.scripts import apply_script
from spine.normalize.transforms import apply_transform
from spine.sources.spec import load_source

pytestmark = pytest.mark.spark
Normalized = Callable[..., list[dict[str, Any]]]

CONTACT = {
    "attributes": {"type": "Contact", "url": "/services/data/v61.0/sobjects/Contact/003A"},
    "Id": "003A",
    "FirstName": " Ada ",
    "LastName": "Lovelace",
    "Email": " Ada.Lovelace@Example.ORG ",
    "Phone": "(312) 555-0142",
    "MailingStreet": "12 St  James Sq",
    "MailingCity": "London",
    "MailingPostalCode": "SW1Y",
    "MailingCountry": "United States",
    "HasOptedOutOfEmail": True,
    "Title": "Countess",
    "AccountId": None,
    "CreatedDate": "2026-01-31T08:15:00.000+0000",
    "LastModifiedDate": "2026-02-01T00:00:00.000+0000",
    "IsDeleted": False,
}


def test_ut_cds_001_salesforce_contact_becomes_person(normalized: Normalized) -> None:
    (person,) = normalized("salesforce.contacts", CONTACT)
    assert {name: person[name] for name in load_entity("person").fields} == {
        "given_name": "Ada",
        "family_name": "Lovelace",
        "email": "ada.lovelace@example.org",
        "phone": "+13125550142",
        "birth_date": None,
        "street": "12 St James Sq",
        "city": "London",
        "postcode": "SW1Y",
        "country": "US",
        "employer": None,
        "source_created_at": dt.datetime(2026, 1, 31, 8, 15),
        "do_not_contact": True,
    }
    assert person["record_ref"] == "salesforce:contacts:r0"
    assert person["reasons"] == []
    unmapped = ("attributes", "Id", "Title", "AccountId", "LastModifiedDate", "IsDeleted")
    assert person["custom_fields"] == {name: CONTACT[name] for name in unmapped}


def test_ut_cds_002_hubspot_company_becomes_organization(normalized: Normalized) -> None:
    company = {
        "id": "77",
        "properties": {
            "name": " Acme GmbH",
            "domain": "https://www.Acme.de/about?x=1",
            "phone": "0711 123456",
            "city": "Stuttgart",
            "country": "Deutschland",
            "annualrevenue": "1200000.5",
            "hs_lastmodifieddate": "2026-02-01T00:00:00Z",
            "hs_lead_status": "OPEN",
        },
        "createdAt": "2026-01-31T08:15:00.123Z",
        "archived": False,
    }
    (organization,) = normalized("hubspot.companies", company)
    expected = {
        "name": "Acme GmbH",
        "website": "acme.de",
        "phone": "+49711123456",
        "city": "Stuttgart",
        "country": "DE",
        "annual_revenue": Decimal("1200000.500000"),
        "source_created_at": dt.datetime(2026, 1, 31, 8, 15, 0, 123000),
        "street": None,
    }
    assert {name: organization[name] for name in expected} == expected
    assert organization["custom_fields"] == {
        "id": "77",
        "archived": False,
        "properties": {"hs_lastmodifieddate": "2026-02-01T00:00:00Z", "hs_lead_status": "OPEN"},
    }


def test_ut_cds_005_v1_entity_becomes_v2_with_defaults(normalized: Normalized) -> None:
    entity = load_entity("person")
    old = {"given_name": "Ada", "family_name": "Lovelace"}
    assert entity.version == 2
    assert entity.upgrade(old, from_version=1) == old | {"do_not_contact": False}
    assert entity.upgrade(old | {"do_not_contact": True}, from_version=1)["do_not_contact"] is True

    of_version_1 = Mapping.model_validate({"entity_version": 1, "fields": {"given_name": "FirstName", "family_name": "LastName"}})
    of_version_2 = of_version_1.model_copy(update={"entity_version": 2})
    assert normalized("salesforce.contacts", CONTACT, mapping=of_version_1)[0]["do_not_contact"] is False
    assert normalized("salesforce.contacts", CONTACT, mapping=of_version_2)[0]["do_not_contact"] is None


@pytest.fixture
def everything() -> Entity:
    kinds = ("string", "integer", "decimal", "boolean", "date", "timestamp")
    fields = {f"a_{kind}": {"type": kind, "description": kind} for kind in kinds}
    return Entity.model_validate({"entity": "thing", "label": "T", "domain": "d", "description": "d", "version": 1, "fields": fields})


def every_field(**options: Any) -> Mapping:
    names = ("a_string", "a_integer", "a_decimal", "a_boolean", "a_date", "a_timestamp")
    return Mapping.model_validate({"fields": {name: {"from": name} | options for name in names}})


def test_values_get_their_types(normalized: Normalized, everything: Entity) -> None:
    payload = {
        "a_string": 12,
        "a_integer": "42",
        "a_decimal": 1.5e9,
        "a_boolean": True,
        "a_date": "2026-01-31T10:00:00Z",
        "a_timestamp": "2026-01-31T10:00:00+02:00",
    }
    (row,) = normalized("salesforce.contacts", payload, mapping=every_field(), entity=everything)
    assert (row["a_string"], row["a_integer"], row["a_decimal"], row["a_boolean"]) == ("12", 42, Decimal(1500000000), True)
    assert (row["a_date"], row["a_timestamp"]) == (dt.date(2026, 1, 31), dt.datetime(2026, 1, 31, 8))


def test_a_value_that_does_not_convert_is_a_reason_and_not_a_silent_null(normalized: Normalized, everything: Entity) -> None:
    wrong = {"a_integer": "many", "a_decimal": "1,5", "a_boolean": "perhaps", "a_date": "2026", "a_timestamp": "10:30"}
    (row,) = normalized("salesforce.contacts", wrong, mapping=every_field(), entity=everything)
    assert [(reason["rule"], reason["field"], reason["reason"]) for reason in row["reasons"]] == [
        ("type", "a_integer", "a_integer is not a whole number"),
        ("type", "a_decimal", "a_decimal is not a decimal number"),
        ("type", "a_boolean", "a_boolean is neither true nor false"),
        ("type", "a_date", "a_date is not a date"),
        ("type", "a_timestamp", "a_timestamp is not a time"),
    ]


def test_missing_null_and_blank_values_are_null_without_a_reason(normalized: Normalized, everything: Entity) -> None:
    rows = normalized("salesforce.contacts", {}, {"a_date": None, "a_integer": "  "}, mapping=every_field(), entity=everything)
    assert all(row[name] is None for row in rows for name in everything.fields)
    assert all(row["reasons"] == [] for row in rows)


def test_steps_of_a_field(normalized: Normalized) -> None:
    mapping = Mapping.model_validate(
        {
            "fields": {
                "given_name": {"from": ["nick", "first"]},
                "family_name": {"from": ["middle", "last"], "join": " "},
                "email": {"from": "mail", "transform": "email", "default": "nobody@example.org"},
                "city": {"from": "place", "lookup": {"MUC": "Munich"}},
                "street": {"from": "note", "script": "without_markup"},
                "do_not_contact": {"default": False},
            }
        }
    )
    first = {"nick": "", "first": "Ada", "middle": "King", "last": "Lovelace", "place": "MUC", "note": "<b>Main</b> St"}
    second = {"nick": "Addie", "first": "Ada", "mail": "A@B.org", "place": "Bonn"}
    names = ("given_name", "family_name", "email", "city", "street", "do_not_contact")
    rows = normalized("salesforce.contacts", first, second, mapping=mapping)
    assert [tuple(row[name] for name in names) for row in rows] == [
        ("Ada", "King Lovelace", "nobody@example.org", "Munich", "Main St", False),
        ("Addie", None, "a@b.org", "Bonn", None, False),
    ]


def test_filters_mark_rows_and_say_nothing_of_them(normalized: Normalized) -> None:
    filters = [{"field": "type", "one_of": ["customer", "lead"]}, {"field": "status", "none_of": ["test"]}]
    mapping = Mapping.model_validate({"fields": {"family_name": "name"}, "filters": filters})
    payloads = [{"type": "customer"}, {"type": "partner"}, {"type": "lead", "status": "test"}, {}]
    rows = normalized("salesforce.contacts", *payloads, mapping=mapping)
    assert [row["filtered"] for row in rows] == [False, True, True, True]


def test_split_makes_one_record_of_each_element(normalized: Normalized) -> None:
    mapping = Mapping.model_validate({"split": "people", "fields": {"employer": "company", "family_name": "people.name"}})
    payload = {"company": "Acme", "people": [{"name": "Lee", "age": 3}, {"name": "Ray"}], "note": "x"}
    rows = normalized("salesforce.contacts", payload, {"company": "Empty", "people": []}, mapping=mapping)
    assert [(row["record_id"], row["employer"], row["family_name"], row["filtered"]) for row in rows] == [
        ("r0#1", "Acme", "Lee", False),
        ("r0#2", "Acme", "Ray", False),
        ("r1", "Empty", None, True),
    ]
    assert rows[0]["custom_fields"] == {"note": "x", "people": {"age": 3}}


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ("not json", "the payload is not a JSON object"),
        ("[1, 2]", "the payload is not a JSON object"),
        ("", "the payload is not a JSON object"),
        ({"_error": "12 columns instead of 11"}, "the record could not be read: 12 columns instead of 11"),
    ],
)
def test_an_unreadable_payload_is_a_reason(normalized: Normalized, payload: Any, reason: str) -> None:
    (row,) = normalized("salesforce.contacts", payload)
    assert row["reasons"] == [{"rule": "readable", "field": None, "reason": reason}]
    assert not row["filtered"]


def test_a_record_beyond_its_bound_is_unreadable_and_holds_up_no_other(normalized: Normalized, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eighty of seven megabytes ended the JVM that all tenants share."""
    monkeypatch.setenv("SPINE_BOUNDS", "record=1K")
    rows = normalized("salesforce.contacts", CONTACT, CONTACT | {"Title": "x" * 1024})
    said = "the record could not be read: it has more than 1,024 bytes (`record` of SPINE_BOUNDS)"
    assert [[reason["reason"] for reason in row["reasons"]] for row in rows] == [[], [said]]
    assert len(rows[1]["payload"]) < 200


def test_a_delete_needs_no_payload(normalized: Normalized) -> None:
    rows = normalized("salesforce.contacts", "", {"Id": "003A"}, CONTACT, op="delete")
    assert [(row["is_deleted"], row["empty_delete"], row["reasons"]) for row in rows] == [
        (True, True, []),
        (True, True, []),
        (True, False, []),
    ]


def test_a_container_that_is_no_object_is_kept(normalized: Normalized) -> None:
    rows = normalized("hubspot.contacts", {"properties": "gone"}, {"properties": None}, {"properties": {"email": "a@b.org"}})
    assert [row["custom_fields"] for row in rows] == [{"properties": "gone"}, {"properties": None}, {}]


def test_names_with_spaces_dots_and_quotes_are_found(normalized: Normalized) -> None:
    mapping = Mapping.model_validate({"fields": {"given_name": "first name", "family_name": "Müller's"}})
    (row,) = normalized("salesforce.contacts", {"first name": "Ada", "Müller's": "x", "a.b": 1}, mapping=mapping)
    assert (row["given_name"], row["family_name"], row["custom_fields"]) == ("Ada", "x", {"a.b": 1})
    with pytest.raises(ValueError, match="both kinds of quotes"):
        Mapping.model_validate({"fields": {"city": "a'b\"c"}})


def test_unknown_words_are_refused_with_the_known_ones(spark: Any) -> None:
    from pyspark.sql import functions as F

    with pytest.raises(ConfigError, match="Known scripts"):
        apply_script("nobody", F.lit(""))
    with pytest.raises(ConfigError, match="Known transforms"):
        apply_transform("nothing", F.lit(""), F.lit(""))


def test_numbers_stay_the_numbers_that_they_are(normalized: Normalized) -> None:
    fields = {"postcode": "zip", "phone": {"from": "phone", "transform": "phone"}, "country": "country"}
    mapping = Mapping.model_validate({"fields": fields})
    payloads = [
        '{"zip": 1067, "phone": 4915112345678.0, "country": "DE"}',
        '{"zip": 1234.0, "phone": 4.91511E+12, "country": "DE"}',
        '{"zip": 340282366920938463463374607431768211, "phone": "4.91511E+12", "country": "DE"}',
        '{"zip": 12345678901234567.891, "phone": "+49 30 901820 ext. 7"}',
    ]
    rows = normalized("salesforce.contacts", *payloads, mapping=mapping)
    assert [(row["postcode"], row["phone"]) for row in rows] == [
        ("1067", "+4915112345678"),
        ("1234", None),
        ("340282366920938463463374607431768211", None),
        ("12345678901234567.891", "+4930901820"),
    ]


def test_what_nobody_sees_is_no_value_and_no_part_of_one(normalized: Normalized) -> None:
    mapping = Mapping.model_validate({"fields": {"birth_date": "born", "family_name": "name", "do_not_contact": "no"}})
    payloads = [{"born": "\u00a01980-01-31\t", "name": "\u200b\u00a0", "no": "\ufefftrue\n"}, {"born": "\u2003", "name": "A\0da"}]
    rows = normalized("salesforce.contacts", *payloads, mapping=mapping)
    found = [(row["birth_date"], row["family_name"], row["do_not_contact"], row["reasons"]) for row in rows]
    assert found == [(dt.date(1980, 1, 31), None, True, []), (None, "Ada", None, [])]


@pytest.mark.parametrize("source", ["salesforce", "hubspot", "people_files"])
def test_every_declared_mapping_names_fields_of_its_entity(source: str) -> None:
    for stream in (stream for stream in load_source(source).streams if stream.entity):
        assert set(stream.mapping.fields) <= set(load_entity(stream.entity).fields)
