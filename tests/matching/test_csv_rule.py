"""CSV files that we write are data for programs: no value is changed, whatever a spreadsheet would make of it."""

from __future__ import annotations

import ast
from pathlib import Path

import pyarrow as pa

from spine.core.settings import PROJECT
from spine.matching.files import read_columns, write_table

FORMULAS = ["=1+1", "+49711123456", "-1", "@SUM(A1)", "\tx", "\rx", "'=x", '=cmd|"/c calc"!A0', "=a,b", "=a\nb"]


def test_what_a_spreadsheet_takes_for_a_formula_comes_back_as_it_was(tmp_path: Path) -> None:
    """A quote before it would change telephone numbers and ids, and `--previous` would know no record any more."""
    write_table(pa.table({"record_id": FORMULAS}), tmp_path / "clusters.csv")
    assert read_columns(tmp_path / "clusters.csv", ["record_id"]).column("record_id").to_pylist() == FORMULAS


def test_there_is_one_place_that_writes_csv() -> None:
    """So the rule holds everywhere; the sandbox plays the part of the vendors."""
    writers = {
        str(path.relative_to(PROJECT))
        for path in (PROJECT / "include" / "spine").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in ("write_csv", "to_csv", "DictWriter", "writer", "sink_csv")
        and (node.attr != "writer" or ast.unparse(node.value) == "csv") and "sandbox" not in path.parts
    }  # fmt: skip
    assert writers == {"include/spine/matching/files.py"}
