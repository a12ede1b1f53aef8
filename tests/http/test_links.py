"""Link headers as RFC 8288 allows them."""

from __future__ import annotations

import pytest

from spine.http.links import target


@pytest.mark.parametrize(
    "header",
    [
        '</x?page=2>; rel="next"',
        '</x?page=2>; rel="next last"',
        '</x?page=2>; rel="last  Next"',
        "</x?page=2>; Rel=NEXT",
        "</x?page=2>;rel=next",
        '</x?page=1>; rel="prev", </x?page=2>; rel="next", </x?page=9>; rel="last"',
        '</y>; title="a, <b>; rel=next"; rel="first",</x?page=2>;title="q\\"q";rel="next"',
        '<https://e.example/y,z;a>; rel="up" , </x?page=2> ; rel = "next"',
        '</x?page=2>; rel="next"; rel="prev"',
    ],
)
def test_the_next_page_is_found(header):
    assert target(header, "next") == "/x?page=2"


@pytest.mark.parametrize("header", ["", '</x>; rel="prev"', '</x>; rel="nextish"', "</x>; title=next", "rubbish"])
def test_there_may_be_none(header):
    assert target(header, "next") is None
