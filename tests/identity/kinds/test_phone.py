"""Telephone numbers: one number however it is written, and none made up out of what follows it."""

# ruff: noqa: RUF001 - letters of other alphabets are what this is about
from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spine.identity.kinds.phone import phone, phones

EXTENSIONS = [
    "x5", "x 5", "ext. 56", "ext: 31", "extension 9", ";ext=44", "p. 12", ", 77", "#4", " Durchwahl -12", " DW 12", " poste 12", " int. 3",
    " interno 3", " ramal 12", " доб. 5", " вн. 5", "内線12", " wew. 7", " 转 8", "*21",
]  # fmt: skip


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_an_extension_is_no_part_of_the_number(extension):
    assert phone(f"+1 212 555 1239{extension}") == phone("212-555-1239") == "2125551239"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param("(212) 555-1239 / (212) 555-9999", "2125551239", id="the first of two"),
        pytest.param("030/9018207", "0309018207", id="a slash behind the area"),
        pytest.param("m 212 555 1239", "2125551239", id="a word in front"),
        pytest.param("４１２５５５１２３９", "4125551239", id="full width"),
        pytest.param("٠٥٠١٢٣٤٥٦٩", "0501234569", id="Arabic digits"),
        pytest.param("4915112345679.0", "5112345679", id="a spreadsheet's decimals"),
        pytest.param("4915112345679,00", "5112345679", id="with a comma"),
        pytest.param("4.91511E+12", None, id="rounded by a spreadsheet"),
        pytest.param("4,91511e12", None, id="with a comma, too"),
    ],
)
def test_numbers_as_they_are_written(raw, expected):
    assert phone(raw) == expected


@given(
    st.lists(
        st.one_of(st.none(), st.text("0123456789+ ().-/,x#e٣extdw", max_size=24), st.sampled_from(EXTENSIONS).map("2125551239".__add__))
    )
)
def test_columns_say_what_values_say(texts):
    assert phones(pa.array(texts, pa.string())).to_pylist() == [phone(text) for text in texts]
