"""Settings are read in one place."""

from __future__ import annotations

import ast
from pathlib import Path

from spine.core.settings import PROJECT

PACKAGE = PROJECT / "include" / "spine"


def reads_of_own_variables(path: Path) -> list[str]:
    """Expressions in which a file reads a variable of this project from `os.environ`; writing and handing on are no reading."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        text = ast.unparse(node) if isinstance(node, ast.Call | ast.Subscript | ast.Compare) else ""
        written = isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store)
        if "os.environ" in text and "'SPINE_" in text and not written and "environ.update" not in text:
            found.append(text)
    return found


def test_only_the_settings_read_the_projects_variables() -> None:
    readers = {str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py") if reads_of_own_variables(path)}
    assert readers == {"core/settings.py"}
