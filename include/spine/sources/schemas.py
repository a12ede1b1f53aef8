"""JSON Schemas of source, entity and match rules files, for editors and CI: `make generate` writes them."""

from __future__ import annotations

import sys
from pathlib import Path

import orjson
from pydantic import BaseModel

from spine.core.entities import Entity, MatchRules
from spine.core.screen import say
from spine.core.settings import PROJECT
from spine.sources.spec import Source

FOLDER = PROJECT / "schemas"
MODELS: dict[str, type[BaseModel]] = {"source": Source, "entity": Entity, "match": MatchRules}


def schema_text(model: type[BaseModel]) -> bytes:
    """The JSON Schema of a model, as it is kept in the repository."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **model.model_json_schema(by_alias=True)}
    return orjson.dumps(schema, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n"


def write_schemas(folder: Path = FOLDER) -> list[Path]:
    """Write `<name>.schema.json` of each model; returns the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, model in MODELS.items():
        path = folder / f"{name}.schema.json"
        path.write_bytes(schema_text(model))
        paths.append(path)
    return paths


if __name__ == "__main__":
    for written in write_schemas(*(Path(argument) for argument in sys.argv[1:2])):
        say(str(written))
