"""Words that are good because something is registered under them."""

from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import ValidationError

from spine.core.declarations import Strict
from spine.core.entities import RowRule, TableRule
from spine.core.vocabulary import PLACES, KnownWord, vocabulary


class Choice(Strict):
    """A declaration of one word."""

    word: Annotated[str, KnownWord("transform")] = "none"


@pytest.mark.parametrize("name", PLACES)
def test_each_vocabulary_is_where_it_is_said_to_be(name: str) -> None:
    assert list(vocabulary(name))


def test_a_new_word_is_good_and_in_the_schema_as_soon_as_it_is_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValidationError, match="Input should be 'none', 'trim'"):
        Choice(word="shout")
    known = vocabulary("transform")
    monkeypatch.setattr(known, "_entries", {**known._entries, "shout": lambda value, country: value})
    assert Choice(word="shout").word == "shout"
    assert Choice.model_json_schema()["properties"]["word"]["enum"] == list(known)


def test_a_word_is_registered_once() -> None:
    with pytest.raises(ValueError, match="registered twice"):
        vocabulary("transform").add("trim", print)


def test_checks_and_metrics_are_known_words() -> None:
    with pytest.raises(ValidationError, match="Input should be 'required'"):
        RowRule(name="x", check="nonsense", reason="r", fails={})
    with pytest.raises(ValidationError, match="Input should be 'row_count_ratio'"):
        TableRule(name="x", metric="nonsense", fails=1)
