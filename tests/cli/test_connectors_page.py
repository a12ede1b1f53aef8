"""The page of connectors is that of the files and of the tests: it claims what they do."""

from __future__ import annotations

from pathlib import Path

from spine.cli.connectors_page import PAGE, page, proofs, write
from spine.sources.spec import source_names

PROVING = """
PROVES = "a mock"
MOCKED = [Mocked("acme", "x")]

def test_one(reading, vendor):
    reading("shop", "http://x").sync("orders")
    vendor.sync(name)
"""


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "docs/connectors.md is not that of the code: run `make generate`"


def test_every_source_has_a_row() -> None:
    assert [name for name in source_names() if f"| [{name}](" not in page()] == []


def test_a_source_is_proven_by_the_tests_that_read_it_and_by_no_others(tmp_path: Path) -> None:
    (tmp_path / "test_a.py").write_text(PROVING)
    (tmp_path / "test_b.py").write_text(PROVING.replace("PROVES", "OTHER").replace("acme", "nobody"))
    assert {name: words for name, words in proofs(tmp_path).items() if name != "orders"} == {"acme": ("a mock",), "shop": ("a mock",)}


def test_what_is_proven_is_a_source() -> None:
    assert {name for name in proofs() if name in source_names()} >= {"hubspot", "salesforce"}
    assert all(words for words in proofs().values())


def test_the_page_is_written_where_asked(tmp_path: Path) -> None:
    assert write(tmp_path / "page.md").read_text(encoding="utf-8") == page()
