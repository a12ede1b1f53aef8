"""Columns are standardised as their values are, one by one."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spine.identity.composites import person_name as person_names
from spine.identity.composites import postal_address as addresses
from spine.identity.composites.person_name import PERSON_NAME
from spine.identity.composites.postal_address import POSTAL_ADDRESS
from spine.identity.kinds import date as date_kind
from spine.identity.kinds import email as email_kind
from spine.identity.kinds import kind_of
from spine.identity.kinds import phone as phone_kind
from spine.identity.standardize import columns as standardize_columns
from spine.identity.standardize import vocabulary as words

WORDS = st.sampled_from(["Anna", "ANNA", "M.", "Dr.", "van", "Lang", "Lang-Meyer", "O'Neil", "J\u00f6rg", "(x)", "unknown", "\x1f", "  "])
NAMES = st.none() | st.text() | st.lists(WORDS, max_size=4).map(" ".join)
LINES = (
    st.none() | st.text() | st.sampled_from(["12 Main Street", "Platz 3", "5 Oak Park IL 60302", "60302", "n/a", "St. 1-2", "7a Wall St"])
)
CODES = st.none() | st.text() | st.sampled_from(["60612-1234", "LS1 4AP", "0000", "12345"])
PLACES = st.none() | st.text() | st.sampled_from(["Bad Aibling", "unknown", "K\u00f6ln"])
LOCALS = st.text("aZ.+-_@ 1\u00e9", max_size=6) | st.sampled_from(sorted(words.PLACEHOLDERS))
HOSTS = st.text("aZ.-@ \n", max_size=5) | st.sampled_from(["gmail.com", "GoogleMail.com", "acme.co.uk", *sorted(words.PLACEHOLDER_HOSTS)])
MAILS = st.none() | st.text() | st.builds("{}@{}".format, LOCALS, HOSTS) | st.sampled_from(sorted(words.PLACEHOLDER_MAILS))
PHONES = (
    st.none() | st.text() | st.text("0123456789 -+()xX#\u0664\u00e9", max_size=18) | st.from_regex(r"(00|\+)?[0-9]{6,16}", fullmatch=True)
)


def standardized(kind, function, columns):
    """What becomes of a table of raw texts that is cut out of a larger one."""
    cut_out = [pa.chunked_array([pa.array(["before", *values], pa.string())[1:]]) for values in columns.values()]
    found = kind.column(list(columns), [standardize_columns.text_of(column) for column in cut_out], function)
    assert found.dictionary.null_count == 0
    assert len(set(found.dictionary.to_pylist())) == len(found.dictionary)
    return found.to_pylist()


@given(st.lists(st.tuples(NAMES, NAMES, NAMES)))
def test_names(rows):
    first, last, full = ([row[at] for row in rows] for at in range(3))
    found = standardized(PERSON_NAME, person_names.person_name, {"forename": first, "surname": last, "full_name": full})
    assert found == [person_names.person_name(*row) for row in rows]
    found = standardized(PERSON_NAME, person_names.person_name, {"forename": first, "surname": last})
    assert found == [person_names.person_name(*row[:2]) for row in rows]
    only_full = standardized(PERSON_NAME, lambda text: person_names.person_name(None, None, text), {"full_name": full})
    assert only_full == [person_names.person_name(None, None, text) for text in full]


@given(st.lists(st.tuples(LINES, st.none() | st.text(max_size=3), CODES, PLACES, PLACES)))
def test_addresses(rows):
    kinds = ("street", "house_number", "postcode", "city", "region")
    columns = {kind: [row[at] for row in rows] for at, kind in enumerate(kinds)}
    assert standardized(POSTAL_ADDRESS, addresses.address, columns) == [addresses.address(*row) for row in rows]
    rest = {kind: columns[kind] for kind in ("street", "city")}
    found = standardized(POSTAL_ADDRESS, addresses.address, rest)
    assert found == [addresses.address(row[0], None, None, row[3], None) for row in rows]


@pytest.mark.parametrize(
    ("kind", "function", "texts"),
    [
        pytest.param(kind_of("email"), email_kind.email, MAILS, id="email"),
        pytest.param(kind_of("phone"), phone_kind.phone, PHONES, id="phone"),
        pytest.param(kind_of("date"), date_kind.date, st.none() | st.text(), id="a function without a way of its own"),
    ],
)
def test_single_attributes(kind, function, texts):
    @given(st.lists(texts))
    def check(values):
        assert standardized(kind, function, {"any": values}) == [function(value) for value in values]

    check()


@pytest.mark.parametrize(
    "mail", ["a" * 394 + "@ab.com", "a" * 393 + "@ab.com", "test@acme.com", "x@example.com", "j.a@gmail.com", "a@a.com\n"]
)
def test_mail_addresses_that_look_plain(mail):
    assert standardized(kind_of("email"), email_kind.email, {"email": [mail]}) == [email_kind.email(mail)]


@pytest.mark.parametrize("end", ["1234567", "12345678", "123456789", "0000000", "1111112", "1234560", "1123123"])
@pytest.mark.parametrize("start", ["", "00", "+44 20", "0044 20 ", "#", "1 ext "])
def test_telephone_numbers_that_look_plain(start, end):
    assert standardized(kind_of("phone"), phone_kind.phone, {"phone": [start + end]}) == [phone_kind.phone(start + end)]


def test_a_function_runs_once_per_distinct_value():
    calls = []
    values = pa.chunked_array([["a", "b"], ["a", None]])
    found = standardize_columns.each([values], lambda value: calls.append(value) or (value.upper() if value else None))
    assert found.to_pylist() == ["A", "B", "A", None]
    assert sorted(map(str, calls)) == ["None", "a", "b"]
