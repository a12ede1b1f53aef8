"""Identifiers: what is typed because a number must be there is none."""

from __future__ import annotations

import pytest

from spine.identity.kinds.national_id import identifier


@pytest.mark.parametrize(
    "text",
    [
        "999-99-9999", "123-45-6789", "000-00-0000", "123456789", "987-65-4321", "0123456789", "1234567890", "111 11 1111", "xxx-xx-1234",
        "***-**-1234", "•••1234", "XXXXX1234", "078-05-1120", "666-12-3456", "123-00-4567", "N/A", "00000", "none.",
    ],
)  # fmt: skip
def test_a_placeholder_is_no_identifier(text):
    assert identifier(text) is None


@pytest.mark.parametrize(
    ("text", "expected"), [("480-70-5039", "480705039"), ("AB 12-34 56", "ab123456"), ("AXX12", "axx12"), ("12345", "12345")]
)
def test_an_identifier_stays(text, expected):
    assert identifier(text) == expected
