"""Quotes that are sound by their places are sound for a parser."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spine.matching import quotes
from spine.matching.quotes import plainly_sound

texts = st.text(alphabet='a,;"\n\r é', max_size=60)


def parses(text: str, delimiter: str = ",") -> bool:
    try:
        list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error:
        return False
    return True


@pytest.fixture(scope="module", params=[3, 4, 5, 1 << 20])
def told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """What is told of a text in a file, read in pieces of some bytes."""
    path, former = tmp_path_factory.mktemp("quotes") / "some.csv", quotes._PIECE
    quotes._PIECE = request.param

    def tell(text: str) -> bool:
        path.write_bytes(text.encode())
        return plainly_sound(path, ",")

    yield tell
    quotes._PIECE = former


@given(text=texts)
def test_what_is_plainly_sound_parses(told, text: str) -> None:
    assert parses(text) or not told(text)


@given(rows=st.lists(st.lists(st.text(alphabet='a,"\né', max_size=8), min_size=1, max_size=4), max_size=5), bom=st.booleans())
def test_what_a_writer_quotes_is_plainly_sound(told, rows: list[list[str]], bom: bool) -> None:
    file = io.StringIO()
    csv.writer(file, quoting=csv.QUOTE_ALL).writerows(rows)
    assert told("\ufeff" * bom + file.getvalue())


@pytest.mark.parametrize("text", ['a,"b\n', '"a" b,c\n', 'a,"b"c"\n', 'a"b",c\n'])
def test_others_are_left_to_the_parser(told, text: str) -> None:
    assert not told(text)


def test_a_delimiter_of_several_bytes_is_left_to_the_parser(tmp_path: Path) -> None:
    (path := tmp_path / "some.csv").write_text('"a"§"b"\n')
    assert not plainly_sound(path, "§")
