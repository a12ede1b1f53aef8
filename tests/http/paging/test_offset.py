"""A count of the records that were read."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(("words", "requests"), [({}, 4), ({"next": "more"}, 3)], ids=["until empty", "until told"])
def test_it_reads_everything_once(read_numbers, words, requests):
    assert read_numbers(type="offset", param="at", size=10, size_param="size", **words) == requests
