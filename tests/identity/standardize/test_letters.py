"""Letters: what is written in another way is the same, what is another letter stays one, and folding twice changes nothing."""

# ruff: noqa: RUF001 - letters of other alphabets are what this is about
from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spine.identity.standardize.letters import MAX_LENGTH, fold
from spine.identity.standardize.text import content, tokens


@pytest.mark.parametrize(
    ("raw", "folded"),
    [
        pytest.param("Łódź Søren Weiß Æther Œuvre", "lodz soren weiss aether oeuvre", id="letters without a decomposition"),
        pytest.param("Đorđe Guðrún Þór Işık Ħal ſo ŋ ẞ ə", "dorde gudrun thor isik hal so ng ss e", id="more of them"),
        pytest.param("Ｆｕｌｌ　１２ ﬁn", "full 12 fin", id="full width and ligatures"),
        pytest.param("ﾊﾞﾝ", fold("ばん"), id="half-width kana"),
        pytest.param("カタカナ", "かたかな", id="katakana are hiragana"),
        pytest.param("٠١٢٣ ۴۵ १२", "0123 45 12", id="Arabic, Persian and Indian digits"),
        pytest.param("Щукин Ελλάδα", "shchukin ellada", id="Cyrillic and Greek"),
        pytest.param("محمّد علی", "محمد علي", id="Arabic vowel signs and Persian letters"),
        pytest.param("हिन्दी", "हिन्दी", id="signs that are parts of words"),
        pytest.param("한국", "한국", id="Hangul stay syllables"),
    ],
)
def test_folding(raw, folded):
    assert fold(raw) == folded


@pytest.mark.parametrize(("one", "other"), [("ハ", "バ"), ("ハ", "パ"), ("か", "が"), ("दिन", "दीन")])
def test_another_letter_is_another_letter(one, other):
    assert fold(one) != fold(other)


@given(st.text())
def test_what_is_folded_stays(text):
    assert fold(fold(text)) == fold(text)
    assert len(fold(text)) <= MAX_LENGTH


def test_a_long_text_takes_no_longer_than_its_first_characters():
    began = time.perf_counter()
    assert len(fold("ﷺé" * 1_000_000)) == MAX_LENGTH
    assert time.perf_counter() - began < 1


def test_words_are_not_cut_at_the_signs_of_their_script():
    assert tokens("हिन्दी दिन।") == ["हिन्दी", "दिन"]


@pytest.mark.parametrize(
    "text",
    ["N. / A.", "(unknown)", "n.a", "--", "k.A.", "Keine Angabe", "000-00-0000", "ナシ", "нет данных", "NOT_PROVIDED", "* none *", "???"],
)
def test_placeholders_say_nothing_in_any_punctuation(text):
    assert content(text) == ""


@pytest.mark.parametrize("text", ["Na Li", "Ka", "Nett", "Nonna", "1112", "O'Nan"])
def test_what_looks_like_a_placeholder_is_kept(text):
    assert content(text)
