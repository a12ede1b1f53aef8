"""The page `docs/connectors.md`, a row for each source from its file, and what it was proven against: `make generate` writes it.

A test module that proves sources says against what, by `PROVES = "…"`; the sources are those that it reads by name. What no test reads is
proven against nothing.
"""

from __future__ import annotations

import ast
from pathlib import Path

from spine.core.errors import ConfigError
from spine.core.screen import say
from spine.core.settings import PROJECT
from spine.push.ends import kind_of
from spine.sources.spec import load_source
from spine.sources.tools.catalog import Facts, all_facts, matrix

PAGE = PROJECT / "docs" / "connectors.md"
TESTS = PROJECT / "tests"
_READING = frozenset({"reading", "Mocked", "sync"})  # what a test calls with a source's name to read it
_HEAD = """# Connectors

Every source that is there, from its file in `include/sources` and from the tests: made by `make generate`. `spine sources matrix` prints
the same of your own files. *Incremental* counts streams that read only what has changed. *Deletes* says how they are seen, *push* how
[the way back](syncs.md) writes to it: by a module of that name, or by the file's `write:` block (`rest`). *Proven against*
names the servers that tests read the source from; a source without one has been checked as a file and no more. Lines are those with
something on them.
"""


def proofs(folder: Path = TESTS) -> dict[str, tuple[str, ...]]:
    """What each source is read from by tests: the word of their modules, by source."""
    found: dict[str, list[str]] = {}
    for path in sorted(folder.rglob("test_*.py")):
        text = path.read_text(encoding="utf-8")
        if "PROVES" not in text:
            continue
        tree = ast.parse(text)
        against = _against(tree)
        for source in _sources(tree) if against else ():
            if against not in found.setdefault(source, []):
                found[source].append(against)
    return {source: tuple(words) for source, words in found.items()}


def _against(tree: ast.Module) -> str:
    """What a module says that it proves against."""
    for node in tree.body:
        named = isinstance(node, ast.Assign) and any(isinstance(target, ast.Name) and target.id == "PROVES" for target in node.targets)
        if named and isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            return str(node.value.value)
    return ""


def _sources(tree: ast.Module) -> list[str]:
    """The sources that a module reads, by the names that it writes."""
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and _called(node.func) in _READING)
    firsts = (call.args[0] for call in calls if call.args)
    return list(dict.fromkeys(arg.value for arg in firsts if isinstance(arg, ast.Constant) and isinstance(arg.value, str)))


def _called(function: ast.expr) -> str:
    """The name of what is called, whatever it belongs to."""
    return function.id if isinstance(function, ast.Name) else function.attr if isinstance(function, ast.Attribute) else ""


def page() -> str:
    """The page as it is kept in the repository."""
    proven = proofs()
    head = [
        "source", "kind", "streams", "authentication", "paging", "incremental", "deletes", "push", "entities",
        "proven against", "YAML", "code",
    ]  # fmt: skip
    rows = [head, ["---"] * len(head), *(_row(facts, proven.get(facts.source, ())) for facts in all_facts())]
    groups = [["approach", "what it is", "sources", "YAML", "code", "effort"], ["---"] * 6]
    for group in matrix():
        names = ", ".join(f"`{name}`" for name in group["sources"]) or "none yet"
        groups.append(
            [group["approach"], group["meaning"], names, str(group["config_lines"]), str(group["code_lines"]), group["dev_effort"]]
        )
    return f"{_HEAD}\n{_table(rows)}\n\n## By approach\n\nLines are medians.\n\n{_table(groups)}\n"


def _row(facts: Facts, proven: tuple[str, ...]) -> list[str]:
    return [
        f"[{facts.source}](../include/sources/{facts.source}.yaml)", facts.approach, str(facts.streams), ", ".join(facts.auth),
        ", ".join(facts.paging) or "none", f"{facts.incremental} of {facts.streams}", ", ".join(facts.deletes) or "none",
        _push(facts.source),
        ", ".join(facts.entities) or "typed tables", "; ".join(proven) or "nothing yet", str(facts.config_lines), str(facts.code_lines),
    ]  # fmt: skip


def _push(name: str) -> str:
    """How a source is written to."""
    try:
        return kind_of(load_source(name))
    except ConfigError:
        return "none"


def _table(rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def write(path: Path = PAGE) -> Path:
    """Write the page; returns its path."""
    path.write_text(page(), encoding="utf-8")
    return path


if __name__ == "__main__":
    say(str(write()))
