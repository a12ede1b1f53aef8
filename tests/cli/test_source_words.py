"""The page of the language is that of the models: each word is explained, and each example is one."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from spine.cli.reference import documented
from spine.cli.source_words import PAGE, entries, models, page
from spine.sources.spec import Source

MODELS = list(models())


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "docs/sources.md is not that of the code: run `make generate`"


@pytest.mark.parametrize(("at", "model"), MODELS, ids=[at or "source" for at, _ in MODELS])
def test_an_example_is_a_declaration_of_its_place(at: str, model: type[BaseModel]) -> None:
    said: Any = yaml.safe_load(documented(model)[1])
    said = said[0] if isinstance(said, list) else said
    declared = model.model_validate(said)
    assert declared.model_fields_set


def test_every_word_is_explained() -> None:
    assert [f"{at}: {word.name}" for at, entry in entries() for word in entry.words if not word.meaning.removeprefix("**needed**. ")] == []


def test_the_whole_language_is_there() -> None:
    places = [at for at, _ in MODELS]
    assert places[0] == ""
    assert {"streams[]", "streams[].cursor.windows", "streams[].later", "variables.<name>", "rate_limit.search"} <= set(places)
    assert MODELS[0][1] is Source
