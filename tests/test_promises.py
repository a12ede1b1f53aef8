"""Documents name the tests that hold their promises: each is there, and so is what they link to and a row for each code of an error."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from spine.core.errors import SpineError
from spine.core.settings import PROJECT

NAMED = re.compile(r"`(?P<file>tests/[\w/]+\.py|…)?(?P<names>(?:::\w+)*)`")
DOCUMENTS = [f"docs/{name}.md" for name in ("security", "identity", "operations", "architecture", "testing", "measurements")]

PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md"))]


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


def anchors(text: str) -> set[str]:
    """Names by which headings are linked to: small letters, without marks, with dashes for spaces."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    lost = []
    for link in re.findall(r"\]\(((?!http)[^)\s]+)\)", page.read_text()):
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text())):
            lost.append(link)
    assert lost == []


def codes(kind: type[SpineError]) -> set[str]:
    return {kind.code}.union(*map(codes, kind.__subclasses__()))


def test_every_code_of_an_error_has_a_row_that_says_what_to_do() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \|", (PROJECT / "docs" / "operations.md").read_text(), re.MULTILINE)
    assert {code for code in codes(SpineError) if code not in rows} == set()
    assert {row for row in rows if row not in codes(SpineError)} == set()
