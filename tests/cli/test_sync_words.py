"""The page of the way back and its schema are those of the models, and each example is a declaration."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from spine.cli.reference import documented
from spine.cli.source_words import entries, models
from spine.cli.sync_words import PAGE, SCHEMA, page
from spine.push.spec import Push
from spine.sources.schemas import schema_text

MODELS = list(models(Push))


def test_page_and_schema_are_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "docs/syncs.md is not that of the code: run `make generate`"
    assert SCHEMA.read_bytes() == schema_text(Push), "schemas/sync.schema.json is not that of the code: run `make generate`"


@pytest.mark.parametrize(("at", "model"), MODELS, ids=[at or "way back" for at, _ in MODELS])
def test_an_example_is_a_declaration_of_its_place(at: str, model: type[BaseModel]) -> None:
    said: Any = yaml.safe_load(documented(model)[1])
    assert model.model_validate(said).model_fields_set


def test_every_word_is_explained() -> None:
    found = [f"{at}: {word.name}" for at, entry in entries(Push) for word in entry.words]
    assert [one for one, word in zip(found, (w for _, e in entries(Push) for w in e.words), strict=True) if not word.meaning] == []
