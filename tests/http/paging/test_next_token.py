"""A token of the next page in the answer."""

from __future__ import annotations

import pytest

from spine.core.errors import SourceRejected
from spine.http.paging import PAGING_KINDS


@pytest.mark.parametrize("word", ["next_token", "cursor"])
def test_it_reads_everything_once(read_numbers, word):
    assert read_numbers(type=word, next="next.at", param="at", size=10, size_param="size") == 3


def test_a_repeated_token_stops_the_reading(make_vendor, answer, walk):
    vendor = make_vendor(lambda seen, number: answer(json={"items": [1], "next": "same"}))
    with pytest.raises(SourceRejected, match="same page"):
        walk("/x", vendor, type="cursor", param="at")
    assert len(vendor.seen) == 2


def test_both_words_are_one_kind():
    assert type(PAGING_KINDS.parse(type="cursor")) is type(PAGING_KINDS.parse(type="next_token"))
