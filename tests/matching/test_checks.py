"""What is refused before matching, and what people are told about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from spine.core.errors import ConfigError
from spine.matching.checks import require_distinct


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
