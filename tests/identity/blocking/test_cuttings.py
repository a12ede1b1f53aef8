"""Keys made for all values at once say the same as the cuts that they stand for: two values share one if they share a text."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spine.identity.blocking import siphash
from spine.identity.blocking.cuttings import MOST_WORDS, VALUE, WORDS, Part, Rule, hash_table, mixed, sounds, whole
from spine.identity.comparing.texts import Values
from spine.identity.composites import names
from spine.identity.composites import postal_address as addresses
from spine.identity.kinds.email import PERSONAL
from spine.identity.kinds.phone import TAIL
from spine.identity.standardize.text import SEP

_word = st.sampled_from(["ann", "anna", "bob", "de", "la", "smith", "smyth", "o", "x"])
_words = st.lists(_word, max_size=3).map(" ".join)
NAMES = st.tuples(_words, _words).filter(any).map(SEP.join)
ADDRESSES = st.tuples(
    st.sampled_from(["", "1", "12b"]), st.sampled_from(["", "high street", "elm way"]), st.sampled_from(["", "sw1a2bb", "10115"]),
    st.sampled_from(["", "london", "berlin"]),
).filter(any).map(SEP.join)  # fmt: skip
MAILS = st.sampled_from(["ann@x.org", "info@x.org", "bob@y.org", "sales.uk@x.org"])
PHONES = st.sampled_from(["5551234567", "1234567", "4420712345", "71234567"])
VALUES = [
    (names.WORDS, NAMES), (names.SOUNDS, NAMES), (names.INITIAL, NAMES), (names.INITIALS, NAMES), (names.INITIAL_AND_SOUND, NAMES),
    (addresses.HOUSE, ADDRESSES), (addresses.HOUSE_NUMBER, ADDRESSES), (addresses.ROAD, ADDRESSES), (addresses.POSTCODE, ADDRESSES),
    (addresses.DISTRICT, ADDRESSES), (addresses.TOWN, ADDRESSES), (VALUE, NAMES), (PERSONAL, MAILS), (TAIL, PHONES),
]  # fmt: skip


@pytest.mark.parametrize(("cutting", "drawn"), VALUES, ids=[cutting.name for cutting, _ in VALUES])
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_values_share_a_number_if_they_share_a_text(cutting, drawn, data):
    values = Values(sorted(data.draw(st.sets(drawn, min_size=2, max_size=8))))
    cut, table = cutting.texts, cutting.numbers(values)
    assert table.shape[0] == len(values)
    for one in range(len(values)):
        for other in range(len(values)):
            shared = bool((set(table[one].tolist()) & set(table[other].tolist())) - {0})
            texts = bool(set(cut(values[one])) & set(cut(values[other])))
            pair = values[one], values[other]
            assert shared == texts or (cutting is names.SOUNDS and _one_sound_twice(*pair)), pair


def _one_sound_twice(one: str, other: str) -> bool:
    """A sound in both fields counts twice among numbers and once among texts."""
    return any(len(set(sounds(value.replace(SEP, " ")))) < len(value.replace(SEP, " ").split()) for value in (one, other))


def test_all_words_agree_in_any_order_and_field():
    values = Values(["ann smith" + SEP, "smith" + SEP + "ann", "ann" + SEP + "smith", "ann" + SEP, "ann" + SEP + "smyth"])
    table = names.ALL_WORDS.numbers(values)[:, 0]
    assert len(set(table[:3].tolist())) == 1
    assert table[3] == 0
    assert table[4] not in (0, table[0])
    assert np.array_equal(table, names.ALL_WORDS.numbers(Values(list(values)))[:, 0])


def test_a_part_takes_as_many_texts_as_its_cutting_unless_it_says_so() -> None:
    part = WORDS.part("name")
    assert (part.name, part.feature, part.cutting, part.most, part.rank) == ("words", "name", WORDS, MOST_WORDS, False)
    assert WORDS.part("name", "first words").name == "first words"
    assert Part("words", "name", WORDS, most=2).most == 2


def test_pairs_of_a_rule_agree_on_the_features_of_its_parts_and_on_what_is_akin() -> None:
    rule = Rule("r", (WORDS.part("name"), VALUE.part("city")), akin=frozenset({"address"}))
    assert rule.features == {"name", "city", "address"}


def test_a_table_has_the_first_texts_of_each_cut() -> None:
    table = hash_table([["a", "b", "c"], [], ["b"]], 2)
    assert table.shape == (3, 2)
    assert (table != 0).tolist() == [[True, True], [False, False], [True, False]]
    assert table[0, 1] == table[2, 0] != table[0, 0]
    assert hash_table([["a"], ["b"]], 1).shape == (2, 1)
    assert hash_table([], 2).shape == (0, 2)
    assert (whole("a"), whole("")) == (["a"], [])


def test_a_pair_of_numbers_is_a_number_unless_one_is_missing() -> None:
    one, other = np.asarray([3, 5, 0, 3, 0]), np.asarray([5, 3, 3, 0, 0])
    found = mixed(one, other).tolist()
    assert found[2:] == [0, 0, 0]
    assert 0 not in found[:2]
    assert found[0] != found[1]


@given(st.lists(st.text() | st.none(), max_size=20))
def test_numbers_of_a_few_texts_are_those_that_pandas_gives_for_many(texts: list[str | None]) -> None:
    import pandas as pd

    assert siphash.numbers_of(texts) == pd.util.hash_array(np.asarray(texts, dtype=object), categorize=False).tolist()
