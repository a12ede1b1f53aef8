"""An address of the next page in a header."""

from __future__ import annotations

import pytest


def test_it_reads_everything_once(read_numbers):
    assert read_numbers(type="link_header", size=10, size_param="size") == 3


@pytest.mark.parametrize("link", ["/api/v1/x?page=2", "?page=2", "x?page=2", "./x?page=2", "../v1/x?page=2"])
def test_a_relative_address_is_that_of_the_page_that_holds_it(make_vendor, answer, walk, link):
    headers = {"Link": f'<{link}>; rel="next last"'}
    vendor = make_vendor(lambda seen, number: answer(json={"items": [number]}, headers=headers if number == 0 else {}))
    vendor.url += "/api/v1"
    assert walk("/x", vendor, type="link_header") == ([0, 1], 2)
    assert (vendor.seen[1].path, vendor.seen[1].query) == ("/api/v1/x", {"page": "2"})
