"""One answer with everything."""

from __future__ import annotations


def test_none_reads_one_page(make_vendor, answer, walk):
    vendor = make_vendor(lambda seen, number: answer(json={"items": [1], "next": "x"}))
    assert walk("/x", vendor, type="none") == ([1], 1)
