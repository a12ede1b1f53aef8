"""JSON as sources send it: what is wrong stays where it is, no digit is lost, and pages of HTML are no JSON."""

from __future__ import annotations

import pytest

from spine.core import jsontext


@pytest.mark.parametrize(
    "body",
    ['{"a": "é"}'.encode("utf-8-sig"), '{"a": "é"}'.encode("utf-16"), '{"a": "é"}'.encode("utf-32"), '{"a": "é"}'.encode()],
    ids=["utf-8 mark", "utf-16 mark", "utf-32 mark", "plain"],
)
def test_a_byte_order_mark_is_passed_over(body):
    assert jsontext.parse(body) == {"a": "é"}


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (b'{"n": "cut \\ud83d"}', "surrogate"),
        (b'{"cut \\udc00": 1}', "surrogate"),
        (b'{"n": NaN}', "NaN"),
        (b'{"n": [{"m": -Infinity}]}', "Infinity"),
        (b'{"n": "M\xfcller"}', "UTF-8"),
    ],
)
def test_what_no_json_has_is_found_in_its_own_record_only(bad, why):
    records = jsontext.parse(b'[{"n": "ok"}, ' + bad + b"]")
    assert jsontext.dump(records[0]) == '{"n":"ok"}'
    with pytest.raises(ValueError, match=why):
        jsontext.dump(records[1])
    assert jsontext.mistake_in(records[0]) is None
    assert why in (jsontext.mistake_in(records) or "")
    jsontext.as_sent(records[1]).encode()  # can be kept


@pytest.mark.parametrize(
    "number",
    [
        "123456789012345678901234567890",
        "-9223372036854775809",
        "18446744073709551615",
        "0.12345678901234567",
        "9007199254740993",
        "1" * 38,
        "1.5",
    ],
)
def test_numbers_keep_all_their_digits(number):
    assert jsontext.dump(jsontext.parse(f'{{"id": {number}}}'.encode())) == f'{{"id":{number}}}'
    assert str(jsontext.parse(f'{{"id": {number}}}'.encode())["id"]) == number


@pytest.mark.parametrize("number", ["1e400", "1e-400", "-1.5E-999", "1" * 39, "0." + "1" * 39])
def test_a_number_that_no_reader_holds_exactly_is_a_text(number):
    assert jsontext.dump(jsontext.parse(f'{{"id": {number}}}'.encode())) == f'{{"id":"{number}"}}'


def test_what_a_machine_number_holds_is_one_and_nothing_more():
    held = ["-9223372036854775808", "18446744073709551615", "1", "1.5e-300"]
    beyond = ["-9223372036854775809", "18446744073709551616", "1e400", "1e-400", "1" * 30]
    found = jsontext.parse(f"[{', '.join([*held, *beyond])}]".encode())
    assert [isinstance(number, jsontext.LongNumber) for number in found] == [False] * 4 + [True] * 5
    assert found == [-(2**63), 2**64 - 1, 1, 1.5e-300, *beyond]
    together = [1e300, "1e-400", "1" * 30]
    assert jsontext.parse(f"[{', '.join(map(str, together))}]".encode()) == together, "one long number does not hide another"


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"a": ', b"[" * 100_000])
def test_what_is_no_json_is_said(body):
    with pytest.raises(ValueError, match=r"\S"):
        jsontext.parse(body)


@pytest.mark.parametrize(
    "text",
    [
        "1",
        "-7.5",
        "9223372036854775807",
        "98765432109876543210",
        "-98765432109876543210",
        "12345678901234567.891",
        '"12345678901234567.891"',
    ],
)
def test_what_is_read_is_written_as_it_was(text):
    assert jsontext.dump(jsontext.parse(f'{{"a":[{text}]}}'.encode())) == f'{{"a":[{text}]}}'


@pytest.mark.parametrize(
    ("body", "long"),
    [
        (b'{"id": "3e456a78-12e3-4567-8901-23e456789012", "hash": "1e4000b2", "account": "12345678901234567890"}', False),
        (b'{"a": 1.5, "b": "x", "c": 1234567890123456}', False),
        (b'{"at":12345678901234567}', True),
        (b"[1,12345678.901234567]", True),
        (b'{"at": 1.5e+300, "b": 1e22, "hash": "12e-3456"}', False),
        (b'{"at":\n-1E-400}', True),
        (b"12345678901234567", True),
    ],
)
def test_identifiers_in_texts_are_no_long_numbers(body, long):
    """A page of UUIDs goes the quick way, which takes a tenth of the patient one's time."""
    assert jsontext._holds_long(body) is long
