"""Keys of spellings: one for what is one name, made once and for all, in linear time."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spine.identity.standardize.spelling import all_consonants, consonants, spelling, spellings


@pytest.mark.parametrize(
    "variants",
    ["schmidt schmitt", "muller mueller", "goethe gothe", "yevgeny jewgenij evgenii", "tatyana tatiana tatjana",
     "romanoff romanov romanow",
     "chekhov tschechow", "kuznetsov kuznecov", "tchaikovsky tschaikowski", "sara sarah", "dmitry dmitri dmitrij"],
)  # fmt: skip
def test_spellings_of_one_name_have_one_key(variants):
    assert len({spelling(word) for word in variants.split()}) == 1


@pytest.mark.parametrize("variants", ["mohammed muhammad mohamed mohammad", "yusuf youssef yusef", "omar umar", "hussein husayn hussain"])
def test_names_of_scripts_without_vowels_have_one_skeleton(variants):
    assert len({consonants(word) for word in variants.split()}) == 1


@pytest.mark.parametrize("names", ["lee lou", "baker booker", "anna hanna", "omar amir", "bauer bar"])
def test_other_names_have_other_keys(names):
    assert len({spelling(word) for word in names.split()}) == len(names.split())


@given(st.text(max_size=30))
def test_keys_never_fail_and_words_stay_words(text):
    words = text.split()
    assert len(spellings(" ".join(words)).split()) <= max(1, len(words))
    assert all_consonants(text) is not None


def test_keys_take_linear_time():
    began = time.perf_counter()
    spelling("schtsch" * 50_000)
    assert time.perf_counter() - began < 1
