"""Descriptions of others are read within bounds: neither depth nor anchors cost more than the file has bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

from spine.core.errors import ConfigError
from spine.sources.tools import documents
from spine.sources.tools.documents import parse_document, read_document


def test_each_map_and_key_knows_its_line() -> None:
    found = parse_document("a:\n  b: 1\n  c:\n    d: [x]\n", "file")
    assert (found["a"].line, found["a"].lines, found["a"]["c"].lines) == (2, {"b": 2, "c": 3}, {"d": 4})


def test_an_anchor_stays_one_object_however_often_it_is_named() -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 60)]
    found = parse_document("\n".join(lines), "file")
    assert found["a59"][0] is found["a59"][9]


def test_merged_keys_stand_below_a_maps_own() -> None:
    found = parse_document("a: &a {x: 1, y: 2}\nb:\n  y: 3\n  <<: *a\n", "file")
    assert found["b"] == {"x": 1, "y": 3}


@pytest.mark.parametrize(("text", "why"), [
    ("[" * 50_000, "nested deeper"), ("a: &a [*a]", "inside itself"), ("a: [1", "not YAML"), ("a: !!python/name:os.system x", "not YAML"),
])  # fmt: skip
def test_what_is_no_document_is_refused(text: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        parse_document(text, "file")


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MOST_BYTES", 10)
    (tmp_path / "api.yaml").write_text("a: " + "x" * 20)
    with pytest.raises(ConfigError, match="more than 0 MB"):
        read_document(tmp_path / "api.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_document(tmp_path / "none.yaml")
