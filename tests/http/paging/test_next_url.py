"""An address of the next page in the answer."""

from __future__ import annotations

import pytest


def test_it_reads_everything_once(read_numbers):
    assert read_numbers(type="next_url", next="link", size=10, size_param="size") == 3


@pytest.mark.parametrize("link", ["/api/v1/x?page=2", "?page=2", "x?page=2", "./x?page=2", "../v1/x?page=2"])
def test_a_relative_address_is_that_of_the_page_that_holds_it(make_vendor, answer, walk, link):
    vendor = make_vendor(lambda seen, number: answer(json={"items": [number], "next": link if number == 0 else None}))
    vendor.url += "/api/v1"
    assert walk("/x", vendor, type="next_url") == ([0, 1], 2)
    assert (vendor.seen[1].path, vendor.seen[1].query) == ("/api/v1/x", {"page": "2"})
