"""What the first bytes of a CSV tell of it."""

from __future__ import annotations

import pytest

from spine.core.dialect import dialect_of, empty, encoding_of, plain_number


@pytest.mark.parametrize("text", ["id;name\n1;Zoë\n", "\nid;name", "sep=;\r\n\r\nid;name\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_delimiter_names_and_encoding(text: str, encoding: str) -> None:
    start = text.encode(encoding)
    found = dialect_of(start, whole=True)
    assert found is not None
    assert (found.delimiter, found.names, found.stated) == (";", ("id", "name"), text.startswith("sep"))
    assert found.before == text.partition("id")[0].count("\n"), "lines before the header"
    assert start.decode(encoding_of(start)).removeprefix("\ufeff") == text


def test_a_zero_byte_does_not_make_utf_16() -> None:
    assert encoding_of(b"id,name\n1,A\0nn\n") == "utf-8"
    assert encoding_of(b"a\0") == encoding_of(b"\0a") == "utf-8", "one letter says too little"
    assert (encoding_of(b"a\0b\0"), encoding_of(b"\0a\0b")) == ("utf-16-le", "utf-16-be")


@pytest.mark.parametrize("start", [b"", b"\n\r\n", b"\xef\xbb\xbf\n"])
def test_without_a_header_there_is_no_dialect(start: bytes) -> None:
    assert dialect_of(start, whole=True) is None


def test_names_are_cleaned_and_each_once() -> None:
    found = dialect_of("a\u00a0,b,\u200ba,,a_2,a\n".encode(), whole=True)
    assert found is not None
    assert found.names == ("a", "b", "a_3", "column_4", "a_2", "a_4")
    assert found.repeated == {"a": [1, 3, 6]}
    twice = dialect_of(b"a,b,a\n", whole=True)
    assert twice is not None
    assert twice.repeated == {"a": [1, 3]}
    assert found.bare


@pytest.mark.parametrize(
    ("text", "whole", "bare"),
    [("a,b\n", True, True), ("a,b\n,\n", True, True), ("a,b\n1,\n", True, False), ("a,b\n", False, False), ("a,b\n1,2\n", False, False)],
)
def test_a_header_is_bare_if_it_is_known_that_nothing_follows(text: str, whole: bool, bare: bool) -> None:
    found = dialect_of(text.encode(), whole=whole)
    assert found is not None
    assert found.bare is bare


def test_a_column_of_numbers_with_commas_is_told_by_all_of_its_values() -> None:
    found = dialect_of(b"sum;text;code;whole\n1.234,5;1,5;0,10;7\n-7;x;007;8\n;2,5;1,5;9\n", whole=True)
    assert found is not None
    assert found.commas == {0}
    assert [found.value(0, text) for text in ("1.234,5", "1.000", "7", "n/a")] == ["1234.5", "1000", "7", "n/a"]


@pytest.mark.parametrize(("text", "plain"), [("1,5", "1.5"), ("1.234.567,89", "1234567.89"), ("12.50", "12.50"), ("1,2,3", "1,2,3")])
def test_plain_numbers(text: str, plain: str) -> None:
    assert plain_number(text) == plain


@pytest.mark.parametrize(("values", "said"), [(["", None], True), ([" ", "\u00a0\u200b"], True), (["", "0"], False)])
def test_empty_rows(values: list[str | None], said: bool) -> None:
    assert empty(values) is said
