"""Values as they are compared: case, accents, titles, placeholders, partial dates, addresses, companies."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spine.identity.composites import person_name as person_names
from spine.identity.composites import postal_address as addresses
from spine.identity.kinds import date as date_kind
from spine.identity.kinds import email as email_kind
from spine.identity.kinds import national_id as national_id_kind
from spine.identity.kinds import organization as organization_kind
from spine.identity.kinds import phone as phone_kind
from spine.identity.kinds import url as url_kind
from spine.identity.standardize import text as texts
from spine.identity.standardize.text import SEP


@pytest.mark.parametrize(
    ("forename", "surname", "full_name", "expected"),
    [
        pytest.param("Dr. José", "O'Neill", None, f"jose{SEP}oneill", id="title, accent, apostrophe"),
        pytest.param("Jane Doe", None, None, f"jane{SEP}doe", id="surname kept in the forename"),
        pytest.param("Ludwig van Beethoven", None, None, f"ludwig{SEP}van beethoven", id="particle goes with the surname"),
        pytest.param(None, None, "Doe, Jane M.", f"jane m{SEP}doe", id="surname, forename"),
        pytest.param("unknown", "n/a", None, None, id="placeholders"),
        pytest.param("Anna", "Smith-Jones", None, f"anna{SEP}smith jones", id="double-barrelled"),
    ],
)
def test_person_names(forename, surname, full_name, expected):
    assert person_names.person_name(forename, surname, full_name) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [("1980-02-03", "19800203"), ("1980-02", "19800200"), ("1980", "19800000"), ("03.02.1980", "19800203"), ("1900-01-01", None),
     ("soon", None),
     ("1980-02-03T00:00:00Z", "19800203"), ("", None), (None, None)],
)  # fmt: skip
def test_dates(raw, expected):
    assert date_kind.date(raw) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param("3/4/1990", "19900403", id="day first where both are possible"),
        pytest.param("3/14/1990", "19900314", id="month first where nothing else is possible"),
        pytest.param("31-12-1999", "19991231", id="dashes"),
        pytest.param("1/2/85", "xx850201", id="two digits of a year: the century is not guessed"),
        pytest.param("31-Mar-15", "xx150331", id="two digits of a year behind a name"),
        pytest.param("March 9th, 2015", "20150309", id="English"),
        pytest.param("4. Dezember 2001", "20011204", id="German"),
        pytest.param("12 août 1950", "19500812", id="French"),
        pytest.param("9 foo 2015", None, id="no month"),
    ],
)
def test_dates_in_other_notations(raw, expected):
    assert date_kind.date(raw) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("Jane.Doe+news@ACME.com", "jane.doe@acme.com"),
        ("j.a.n.e@googlemail.com", "jane@gmail.com"),
        ("test@test.com", None),
        ("nobody", None),
        ("x@localhost", None),
        ("anna@b@acme.com", "anna.b@acme.com"),
    ],
)
def test_mail_addresses(raw, expected):
    assert email_kind.email(raw) == expected


def test_role_mailboxes_are_told_from_people():
    assert email_kind.is_role_mail("info@acme.com")
    assert email_kind.is_role_mail("sales.uk@acme.com")
    assert not email_kind.is_role_mail("jane.info@acme.com")


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("+44 113 200 0123", "1132000123"),
        ("0113 200 0123", "1132000123"),
        ("0000000000", None),
        ("12345", None),
        ("(030) 555-2368 ext 12", "0305552368"),
    ],
)
def test_telephone_numbers(raw, expected):
    assert phone_kind.phone(raw) == expected


def test_addresses_and_companies():
    assert addresses.address("600 N. Leavitt Street", None, "60612-1234", "Chicago", None) == SEP.join(
        ["600", "leavitt", "60612", "chicago"]
    )
    assert addresses.address("27 Washington Oak Park IL 60302", None, None, None, None).split(SEP)[2] == "60302"
    assert organization_kind.organization("The Acme Holding Company, Inc.") == "acme"
    assert url_kind.host("https://www.acme.com/about?x=1") == "acme.com"
    assert addresses.postcode_district("ls14ap") == "ls1"


@given(st.one_of(st.none(), st.text()))
def test_no_text_breaks_a_standardiser(text):
    for function in (
        date_kind.date,
        email_kind.email,
        phone_kind.phone,
        organization_kind.organization,
        url_kind.host,
        texts.plain,
        national_id_kind.identifier,
    ):
        assert function(text) is None or function(text) != ""
    person_names.person_name(text, text, text)
    addresses.address(text, text, text, text, text)


ROADS = st.sampled_from(["Main Street", "st", "", "a 5", "Platz der Republik", "'", "\u03a3\u03a3", "x" * 398])
LINES = st.one_of(
    st.text(),
    st.text("12 ab'-st\u0301\u00b2\u1e9e\u0660", max_size=12),
    st.builds("{}{}{}".format, st.integers(0, 99999), st.sampled_from([" ", "", "-", "  "]), ROADS),
    st.builds("{} {}".format, ROADS, st.integers(0, 99999)),
)


@given(LINES)
def test_a_plain_address_line_is_read_like_any_other(line):
    number, road, code = addresses.street(line)
    any_number, any_road, any_code = addresses._any_street(line)
    assert (number, list(road), code) == (any_number, list(any_road), any_code)
