"""An address of the next page in the answer."""

from __future__ import annotations


def test_it_reads_everything_once(read_numbers):
    assert read_numbers(type="next_url", next="link", size=10, size_param="size") == 3
