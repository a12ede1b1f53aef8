"""The exported JSON Schemas are those of the models, and the declared files keep to them."""

from __future__ import annotations

import orjson
import pytest

from spine.sources import schemas


@pytest.mark.parametrize("name", schemas.MODELS)
def test_the_exported_schema_is_current(name):
    kept = (schemas.FOLDER / f"{name}.schema.json").read_bytes()
    assert kept == schemas.schema_text(schemas.MODELS[name]), f"schemas/{name}.schema.json is not that of the code: run `make generate`"


def test_schemas_are_written_where_asked(tmp_path):
    paths = schemas.write_schemas(tmp_path / "new")
    assert sorted(path.name for path in paths) == ["entity.schema.json", "match.schema.json", "source.schema.json"]
    assert orjson.loads(paths[0].read_bytes())["$schema"].startswith("https://json-schema.org/")
