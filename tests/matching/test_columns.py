"""Which column is taken for what: headers as systems and countries write them, and names that only look right."""

from __future__ import annotations

import pytest

from spine.matching.columns import Column, guessed, likely_ids, plain

PERSON = {
    "given_name": "forename", "family_name": "surname", "email": "email", "phone": "phone", "birth_date": "date", "street": "street",
    "city": "city", "postcode": "postcode",
}  # fmt: skip
ORGANIZATION = {"name": "organization", "website": "url", "phone": "phone", "street": "street", "city": "city", "postcode": "postcode"}
VALUES = {
    "email": ["ann@acme.com", "bo@example.org"], "phone": ["+1 503 387 2020", "0151 2345678"], "date": ["1980-02-29", "31.12.1975"],
    "word": ["Okonkwo", "Lee"], "street": ["9 Mill Lane", "Hauptstr. 7"], "code": ["13969", "AB3 2ZK"], "url": ["www.acme.com", "b.org"],
    "number": ["1", "2"], "yes": ["true", "false"], "none": [],
}  # fmt: skip


def columns(header: str) -> list[Column]:
    """`name:look` for each column; a word is what most look like."""
    parts = [item.partition(":") for item in header.split("; ")]
    return [Column(name, VALUES[look or "word"]) for name, _, look in parts]


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        pytest.param(
            "Id:number; FirstName; LastName; Email:email; MobilePhone:phone; MailingStreet:street; MailingCity; MailingPostalCode:code; "
            "Birthdate:date; CreatedDate:date",
            "FirstName LastName Email MobilePhone Birthdate MailingStreet MailingCity MailingPostalCode", id="Salesforce",
        ),
        pytest.param(
            "First Name; Last Name; E-mail 1 - Value:email; Phone 1 - Value:phone; Birthday:date",
            "First_Name Last_Name E-mail_1_-_Value Phone_1_-_Value Birthday",
            id="columns that are numbered",
        ),
        pytest.param(
            "KUNNR:number; Vorname; Nachname; E-Mail:email; Telefon:phone; Geburtsdatum:date; Straße:street; Ort; PLZ:code",
            "Vorname Nachname E-Mail Telefon Geburtsdatum Straße Ort PLZ", id="German",
        ),
        pytest.param(
            "prénom; nom de famille; courriel:email; téléphone:phone; date de naissance:date; rue:street; ville; code postal:code",
            "prénom nom_de_famille courriel téléphone date_de_naissance rue ville code_postal", id="French",
        ),
        pytest.param(
            "nombre; apellidos; correo electrónico:email; móvil:phone; fecha nacimiento:date; dirección:street; ciudad; código postal:code",
            "nombre apellidos correo_electrónico móvil fecha_nacimiento dirección ciudad código_postal", id="Spanish",
        ),
        pytest.param(
            "imię; nazwisko; email:email; numer telefonu:phone; data urodzenia:date; ulica:street; miasto; kod pocztowy:code",
            "imię nazwisko email numer_telefonu data_urodzenia ulica miasto kod_pocztowy", id="Polish",
        ),
        pytest.param("contact.first; contact.last; contact.email:email; cell:phone", "contact.first contact.last contact.email cell",
                     id="objects of JSON"),
        pytest.param("fname; lname; x:email; fax:phone", "fname lname x", id="a mailbox is told by its values, a fax is no telephone"),
        pytest.param("first; last; email_verified:yes; phone_type; email domain:url; city_id:number", "first last",
                     id="what only speaks of an attribute"),
        pytest.param("first; last; created_at:date; birth_place", "first last", id="no date but that of birth, and no place for it"),
        pytest.param("billing_city; shipping_city; city", "- - - - - - city", id="the plain one of several"),
        pytest.param("given_name:none; email:none", "given_name - email", id="columns without values, by their names"),
    ],
)  # fmt: skip
def test_columns_of_a_person(header: str, wanted: str) -> None:
    names = [name.replace("_", " ") if name not in header else name for name in wanted.split()]
    expected = {attribute: name for attribute, name in zip(PERSON, names, strict=False) if name != "-"}
    assert guessed(columns(header), PERSON) == expected


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("Account Name; Website:url; Phone:phone; BillingStreet:street; BillingCity; BillingPostalCode:code",
         "Account Name|Website|Phone|BillingStreet|BillingCity|BillingPostalCode"),
        ("Firma; Webseite:url; Telefon:phone; Strasse:street; Ort; PLZ:code", "Firma|Webseite|Telefon|Strasse|Ort|PLZ"),
        ("ragione sociale; sito web:url; telefono:phone; indirizzo:street; comune; cap:code",
         "ragione sociale|sito web|telefono|indirizzo|comune|cap"),
        ("company_name; trading as; domain:url", "company_name|domain"),
    ],
)  # fmt: skip
def test_columns_of_an_organisation(header: str, wanted: str) -> None:
    assert list(guessed(columns(header), ORGANIZATION).values()) == wanted.split("|")


def test_a_file_is_no_person() -> None:
    assert guessed(columns("file name; street name; user_name; full_name"), {"whole": "full_name"}) == {"whole": "full_name"}
    assert guessed(columns("file name; street name"), {"whole": "full_name"}) == {}


@pytest.mark.parametrize("name", ["FirstName", "first_name", "FIRST NAME", "first-name", " First  Name ", "firstName"])
def test_one_name_in_many_spellings(name: str) -> None:
    assert plain(name) == "first name"


@pytest.mark.parametrize(
    ("header", "likely"),
    [
        ("name; id:number; other_id:number", ["id", "other_id"]),
        ("crm_id:number; name", ["crm_id"]),
        ("ticket:number; name", ["ticket"]),
        ("name; ticket:number", ["name"]),
        ("same:none; phone:phone", []),
    ],
)
def test_ids_are_looked_for_by_name_and_then_in_front(header: str, likely: list[str]) -> None:
    assert likely_ids(columns(header), [], "crm")[:2] == likely


def test_values_that_repeat_are_no_ids_and_gaps_are_for_their_reader_to_tell() -> None:
    assert likely_ids([Column("id", ["1", "1"]), Column("other", ["1", ""])], [], "x") == []
    assert likely_ids([Column("name", ["a", "b"]), Column("key", ["1", ""])], [], "x") == ["key", "name"]
