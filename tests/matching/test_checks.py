"""What is refused before matching, and what people are told about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from spine.core.entities import MatchRules
from spine.core.errors import ConfigError, NothingToMatch
from spine.matching.checks import require_distinct, require_values

NAME_AND_MAIL = {"given": "forename", "family": "surname", "mail": "email", "town": "city"}


@pytest.mark.parametrize(
    ("source", "hint"),
    [
        (None, "Every record needs an id of its own"),
        ("system", "Every record needs an id of its own; if it is unique within a system only, put that before it"),
    ],
)
def test_a_source_is_spoken_of_only_where_the_rules_name_one(source: str | None, hint: str) -> None:
    with pytest.raises(ConfigError) as refused:
        require_distinct("'1' (2 times)", "id", Path("people.csv"), source)
    assert refused.value.hint == hint


def rules(**stated: object) -> MatchRules:
    return MatchRules.model_validate({"entity": "person", "record_id": "id", "attributes": NAME_AND_MAIL, **stated})


@pytest.mark.parametrize(
    ("filled", "constant", "part"),
    [
        pytest.param({"given": 0, "family": 0}, (), "none of the 9 records has a value to match by: given, family are empty", id="empty"),
        pytest.param({"mail": 0}, (), "mail is empty", id="one column that is empty"),
        pytest.param({"given": 9, "family": 9}, ("given", "family"), "all 9 records have the same given and family", id="one name"),
        pytest.param({"town": 9, "given": 0}, ("town",), "all 9 records have the same town", id="one town"),
        pytest.param({"given": 9, "family": 9, "town": 9}, ("given", "family", "town"), None, id="one name in one town: full rows are one"),
        pytest.param({"mail": 9, "given": 9}, ("mail", "given"), None, id="one name and mailbox"),
        pytest.param({"given": 9, "family": 9}, ("given",), None, id="surnames that differ"),
        pytest.param({"given": 4}, (), None, id="some values"),
    ],
)
def test_records_that_hold_too_little(filled: dict[str, int], constant: tuple[str, ...], part: str | None) -> None:
    if part is None:
        require_values(rules(), 9, filled, constant)
        return
    with pytest.raises(NothingToMatch, match=part):
        require_values(rules(), 9, filled, constant)


def test_one_record_and_stated_rules_are_no_error() -> None:
    require_values(rules(), 1, {"given": 1, "family": 1}, ("given", "family"))
    require_values(rules(same=[["given", "family"]]), 9, {"given": 9, "family": 9}, ("given", "family"))
    require_values(rules(), 0, {"given": 0}, ())
