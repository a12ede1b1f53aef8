"""What stated cuts and levels do with standardised values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spine.core.choices import Cut, known_cuts, known_levels, parse_cut, parse_level
from spine.identity.comparing import stated
from spine.identity.kinds import all_kinds, kind_of


@pytest.mark.parametrize(
    ("kind", "cut", "value", "found"),
    [
        ("surname", "words", "de la cruz", ["de", "la", "cruz"]),
        ("surname", "initial", "cruz", ["c"]),
        ("full_name", "initials", "maria cruz", ["cm"]),
        ("full_name", "sorted", "maria cruz", ["cruz maria"]),
        ("surname", "first3", "o neil", ["one"]),
        ("surname", "last2", "neil", ["il"]),
        ("phone", "digits7", "4930123456", ["0123456"]),
        ("phone", "digits7", "123456", []),
        ("date", "year", "19800203", ["1980"]),
        ("date", "month", "19800203", ["198002"]),
        ("date", "month", "19800000", []),
        ("email", "mailbox", "ann@firm.com", ["ann"]),
        ("email", "domain", "ann@firm.com", ["firm.com"]),
        ("email", "domain", "ann@gmail.com", []),
        ("postcode", "district", "ls14ap", ["ls1"]),
        ("street", "number", "12 elm", ["12"]),
        ("street", "road", "12 old elmwood", ["elmwood"]),
    ],
)
def test_a_cut(kind, cut, value, found):
    assert stated.cut(kind_of(kind), parse_cut(cut, kind))(value) == found


def test_names_that_sound_alike_share_their_sound():
    sound = stated.cut(kind_of("surname"), Cut("sound"))
    assert sound("smith") == sound("smyth")
    assert sound("smith") != sound("jones")


@pytest.mark.parametrize(
    ("kind", "level", "one", "other", "reached"),
    [
        ("surname", "exact", "smith", "smith", True),
        ("surname", "edits <= 1", "smith", "simth", True),
        ("surname", "edits <= 1", "smith", "smythe", False),
        ("surname", "edits <= 0", "smith", "smyth", False),
        ("surname", "jaro_winkler >= 0.9", "martha", "marhta", True),
        ("surname", "jaro_winkler >= 0.9", "martha", "johnson", False),
        ("surname", "prefix 3", "smith", "smithson", True),
        ("surname", "prefix 3", "sm", "sm", False),
        ("surname", "suffix 3", "johnson", "benson", True),
        ("surname", "same sound", "smith", "smyth", True),
        ("forename", "nickname", "bob", "robert", True),
        ("forename", "nickname", "bob", "peter", False),
        ("title", "words >= 0.6", "the red house", "red house", True),
        ("title", "words >= 0.6", "the red house", "a blue boat", False),
        ("title", "letters >= 0.6", "panasonic", "panasonik", True),
        ("date", "days <= 31", "19800131", "19800302", True),
        ("date", "days <= 31", "19800131", "19800304", False),
        ("date", "days <= 31", "19800000", "19800101", False),
        ("date", "years <= 1", "19800000", "19811231", True),
        ("number", "difference <= 5", "100", "104.5", True),
        ("number", "difference <= 5%", "100", "94", False),
        ("number", "difference <= 5%", "-100", "-96", True),
    ],
)
def test_a_level(kind, level, one, other, reached):
    kernel = stated.kernel(kind_of(kind), [parse_level(level, kind)])
    values = sorted({one, other})
    codes = np.asarray([values.index(one)]), np.asarray([values.index(other)])
    assert kernel(values, *codes, {}).tolist() == [1 if reached else 2]


def test_rare_words_weigh_more_than_common_ones():
    kernel = stated.kernel(kind_of("title"), [parse_level("words >= 0.6", "title")])
    values = ["acme limited", "acme partners", "bolt limited"]
    rarity = {"limited": 0.1, "partners": 0.1}
    assert kernel(values, np.array([0, 0]), np.array([1, 2]), rarity | {"": 5.0}).tolist() == [1, 2]


_values = st.lists(st.text("abc 12", min_size=1, max_size=8).map(str.strip).filter(bool), min_size=1, max_size=8, unique=True)
_levels = st.sampled_from(known_levels("number"))


@given(values=_values, forms=st.lists(_levels, min_size=1, max_size=4), data=st.data())
def test_levels_are_symmetric_and_a_value_agrees_with_itself(values, forms, data):
    texts = [form.replace("CUT", "words").replace("X", "0.5").replace("N", "2") for form in forms]
    kernel = stated.kernel(kind_of("number"), [parse_level("exact", "number"), *(parse_level(text, "number") for text in texts)])
    places = st.integers(0, len(values) - 1)
    pairs = data.draw(st.lists(st.tuples(places, places), min_size=1, max_size=20))
    left, right = np.asarray(pairs).T
    found = kernel(values, left, right, {})
    assert (found == kernel(values, right, left, {})).all()
    assert ((found == 1) == (left == right)).all()
    assert found.max() <= len(texts) + 2


def test_every_cut_of_the_grammar_gives_no_more_texts_than_it_says():
    for kind in all_kinds():
        for name in known_cuts(kind.name):
            cut = Cut(name, 3 if name.endswith("N") else 0)
            for value in ("a@b.com", "19800203", "one two three four five six seven eight", "12 elm"):
                assert len(stated.cut(kind, cut)(value)) <= stated.most(cut)


def test_beliefs_fall_from_agreement_to_disagreement():
    for count in range(1, 9):
        m, u = stated.beliefs(count)
        assert len(m) == len(u) == count + 1
        assert abs(sum(m) - 1) < 1e-9
        assert abs(sum(u) - 1) < 1e-9
        ratios = np.asarray(m) / np.asarray(u)
        assert (np.diff(ratios) < 0).all()


def test_nine_matches_in_ten_agree_and_most_of_them_on_the_first_level():
    assert stated.beliefs(1) == (pytest.approx((0.9, 0.1)), pytest.approx((0.0045, 0.9955)))
    assert stated.beliefs(3)[0] == pytest.approx((0.9 * 20 / 23, 0.9 * 2 / 23, 0.9 * 1 / 23, 0.1))


@pytest.mark.parametrize("form", known_levels("number"))
def test_without_values_there_is_nothing_to_compare(form):
    level = parse_level(form.replace("CUT", "words").replace("X", "0.5").replace("N", "2"), "number")
    nobody = np.zeros(0, dtype=np.int64)
    assert stated.kernel(kind_of("number"), [level])([], nobody, nobody, {}).tolist() == []


def test_several_attributes_differ_only_if_all_do():
    values = [stated.together(pair) for pair in (["a", "x"], ["a", "y"], ["b", "y"])]
    assert stated.together(["a", None]) is None
    assert stated.all_differ(values, np.array([0, 0, 1]), np.array([1, 2, 2]), {}).tolist() == [1, 2, 1]
