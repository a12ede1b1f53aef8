"""Documents name the tests that hold their promises: each of them is there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from spine.core.settings import PROJECT

NAMED = re.compile(r"`(?P<file>tests/[\w/]+\.py|…)?(?P<names>(?:::\w+)*)`")
DOCUMENTS = [f"docs/{name}.md" for name in ("security", "identity", "operations", "architecture", "testing", "measurements")]


def promised(text: str) -> Iterator[tuple[str, list[str]]]:
    """Files and names of tests in their order; `…` and a name alone are of the file that was named last."""
    last = ""
    for found in NAMED.finditer(text):
        if found["file"] or found["names"]:
            last = last if found["file"] in (None, "…") else str(found["file"])
            yield last, [name for name in found["names"].split("::") if name]


def defined(path: Path) -> set[str]:
    """Functions and classes of a file."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, kinds)}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_test_that_a_document_names_is_there(document: str) -> None:
    named = list(promised((PROJECT / document).read_text()))
    assert [file for file, _ in named if not (PROJECT / file).is_file()] == []
    assert [f"{file}::{name}" for file, names in named for name in names if name not in defined(PROJECT / file)] == []


def test_security_names_a_test_for_what_it_promises() -> None:
    assert len(list(promised((PROJECT / "docs" / "security.md").read_text()))) > 100
