"""How alike titles, long texts and numbers are found to be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spine.identity.comparing.plan import Kernel
from spine.identity.comparing.texts import Values
from spine.identity.kinds import number as number_kind
from spine.identity.kinds import text as text_kind
from spine.identity.kinds import title as title_kind
from spine.identity.standardize import free_text as free_texts
from spine.identity.standardize import text as texts

PLAIN = {"": 8.0, "camera": 1.0, "digital": 1.0, "black": 1.5, "canon": 3.0, "powershot": 3.0, "the": 0.3, "of": 0.3}


def level(kernel: Kernel, labels: tuple[str, ...], one: str, other: str) -> str:
    found = kernel(Values([one, other]), np.asarray([0]), np.asarray([1]), PLAIN)
    return labels[int(found[0]) - 1]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        pytest.param("canon powershot a590", "powershot canon a590", "same words", id="order says nothing"),
        pytest.param("canon powershot a590", "canon powershot a590 camera", "nearly the same words", id="common words weigh little"),
        pytest.param("canon dsch50 black", "dsch50 kit", "shared model number", id="a rare word with a digit tells most"),
        pytest.param("sony turntable pslx350h", "turntable ps lx350h sony", "same words", id="a word written in two"),
        pytest.param("canon powershot a590", "canon powershot a580", "alike but for a number", id="siblings of one series"),
        pytest.param("understanding of the schema", "understandin of the shcema", "many words in common", id="slips of spelling"),
        pytest.param("the camera of black", "the digital of turntable", "different title", id="nothing but common words"),
    ],
)  # fmt: skip
def test_titles(one, other, expected):
    assert level(title_kind.compare, title_kind.TITLE_LEVELS, one, other) == expected


def test_a_short_text_of_rare_words_is_found_within_a_long_one():
    one, other = "blum furst kearns lipton", "avrim blum merrick furst michael kearns richard lipton carnegie mellon university pittsburgh"
    assert level(text_kind.compare, text_kind.TEXT_LEVELS, one, other) == "one text within the other"


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        pytest.param("1299", "1299.0", "same number", id="spelling"),
        pytest.param("100", "101", "nearly the same", id="one percent"),
        pytest.param("100", "110", "about the same", id="ten percent"),
        pytest.param("5", "6", "different number", id="small whole numbers differ"),
        pytest.param("1998", "1999", "nearly the same", id="years are counted, not divided"),
        pytest.param("1960", "1999", "different number", id="two percent of a year is a long time"),
        pytest.param("98", "1998", "nearly the same", id="no century"),
        pytest.param("0", "0", "same number", id="nothing"),
    ],
)  # fmt: skip
def test_numbers(one, other, expected):
    assert level(number_kind.compare, number_kind.NUMBER_LEVELS, one, other) == expected


@given(st.lists(st.text("ab1 ", min_size=1, max_size=12).map(lambda text: free_texts.free_text(text) or "a"), min_size=2, max_size=6))
def test_every_level_is_the_same_from_either_side(values):
    left, right = (part.astype(np.int64) for part in np.triu_indices(len(values), 1))
    for kernel in (title_kind.compare, text_kind.compare):
        assert kernel(values, left, right, {}).tolist() == kernel(values, right, left, {}).tolist()
        assert kernel(Values(values), left, right, {}).tolist() == kernel(values, left, right, {}).tolist()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("$1,299.00", "1299", id="English grouping"),
        pytest.param("1.299,50 €", "1299.5", id="German grouping"),
        pytest.param("1'234", "1234", id="Swiss grouping"),
        pytest.param("0,75 l", "0.75", id="decimal comma"),
        pytest.param("(1992),", "1992", id="brackets"),
        pytest.param("3:21", "201", id="minutes and seconds"),
        pytest.param("1m 58sec", "118", id="minutes and seconds in words"),
        pytest.param("Album Only", None, id="no number"),
        pytest.param(None, None, id="nothing"),
    ],
)
def test_numbers_are_read_in_any_notation(text, expected):
    assert number_kind.number(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("Black &amp; Decker 24.7 cu. ft.", "black decker 24.7 cu ft", id="entities and decimals"),
        pytest.param("1,000 Pieces", "1000 pieces", id="thousands"),
        pytest.param("東京タワー", "東京 京た たわ わー", id="scripts without spaces"),
        pytest.param("Война и мир", "voina i mir", id="Cyrillic"),
        pytest.param("J. R. R. Tolkien", "j r r tolkien", id="initials"),
        pytest.param("ã â ã ã šâ ã ã â¼â ã", None, id="what a wrong encoding leaves"),
        pytest.param("n/a", None, id="placeholder"),
        pytest.param("😀", None, id="no words"),
    ],
)
def test_words_of_free_text(text, expected):
    assert free_texts.free_text(text) == expected


def test_a_text_of_any_length_is_read_in_no_time():
    assert len(free_texts.free_text("& 1,000 ' 3:21 " * 20_000) or "") <= texts.MAX_LENGTH
    assert number_kind.number("1" * 200_000) is None
