"""Placeholders name values: nothing is computed, nothing becomes syntax, and what has no value is left out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spine.core.errors import ConfigError
from spine.core.placeholders import Absent, fill, fill_all, names_in, needed

PLAIN = st.text().filter(lambda text: "{" not in text and "}" not in text)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | PLAIN, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(PLAIN, inner, max_size=4)
)


@given(JSON)
def test_what_names_nothing_stays_as_it_is(value: Any) -> None:
    assert fill_all(value, {}) == value
    assert list(names_in(value)) == []


@given(st.text())
def test_a_value_is_never_read_for_placeholders_itself(value: str) -> None:
    values = {"a": value, "b": "secret"}
    assert fill("{a}", values) == value
    assert fill("<{a}>", values) == f"<{value}>"


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("{n}", 5), ("{l}", ["x", 1]), ("{o.id}", 7), ("{n}{n}", "55"), ("a{l}", "ax,1"), ("{t}!", "true!"), ("{{n}}", "{n}"),
        ("{{{n}}}", "{5}"), ('{"a": 1}', '{"a": 1}'), ("{ n }", "{ n }"), ("{}", "{}"), ("{n", "{n"),
    ],
)  # fmt: skip
def test_fill(text: str, filled: Any) -> None:
    assert fill(text, {"n": 5, "l": ["x", 1], "o": {"id": 7}, "t": True}) == filled


@pytest.mark.parametrize("text", ["{gone}", "a{gone}", "{o.gone}", "{o.id.deeper}"])
def test_what_has_no_value_leaves_out_the_whole_text(text: str) -> None:
    values = {"gone": None, "o": {"id": 7}, "n": 5}
    with pytest.raises(Absent):
        fill(text, values)
    with pytest.raises(ConfigError, match="has no value"):
        needed(text, values)
    given_ = {"a": text, "n": "{n}", "o": {"b": text}, "l": [{"f": "x", "v": text}, {"f": "y"}], "s": [text, "{n}"]}
    assert fill_all(given_, values) == {"n": 5, "l": [{"f": "y"}], "s": [5]}
