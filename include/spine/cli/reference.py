"""The reference page `docs/reference.md`, made from the docstrings of what is registered: `make generate` writes it.

A docstring says what a thing does and ends with `Example:`. A section is one line of SECTIONS.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from spine.core import variants
from spine.core.choices import CUTS
from spine.core.entities import RowRule, TableRule
from spine.core.screen import say
from spine.core.settings import PROJECT
from spine.core.variants import Variants
from spine.core.vocabulary import vocabulary
from spine.http.auth import AUTH_KINDS
from spine.http.paging import PAGING_KINDS
from spine.identity.kinds import all_kinds
from spine.sources.decoders import DECODER_KINDS

PAGE = PROJECT / "docs" / "reference.md"
_HEAD = """# Reference

Every word that a declaration may choose from, with an example. Made from the docstrings of the code by `make generate`;
[extending.md](extending.md) says how a new one is made.
"""


@dataclass(frozen=True)
class Word:
    """One word that an entry understands, its default as a file would say it (empty: none), and what it means."""

    name: str
    default: str
    meaning: str


@dataclass(frozen=True)
class Entry:
    """One thing to choose: its name, other words for it, what it does, its words, and an example as a file says it."""

    name: str
    text: str
    example: str
    words: tuple[Word, ...] = ()
    also: tuple[str, ...] = ()


@dataclass(frozen=True)
class Section:
    """A part of the page: entries of one sort, the Python folder or file where a new one goes, and where its example stands in YAML.

    `within` is the line above an example; one that ends with `-` makes the example an item of a list. Without it the example is no YAML.
    """

    title: str
    intro: str
    home: str
    within: str
    entries: Callable[[], list[Entry]]


def documented(thing: Any) -> tuple[str, str]:
    """What the docstring of a class or function says, and its example. Raises ValueError if either is missing."""
    text, mark, example = (inspect.getdoc(thing) or "").partition("Example:")
    if not text.strip() or not mark or not example.strip():
        raise ValueError(f"{thing.__qualname__} needs a docstring that ends with `Example:`")
    return " ".join(text.split()), dedent(example).strip()


def _word(name: str, field: FieldInfo) -> Word:
    default = "" if field.is_required() or field.default_factory or field.default in (None, ()) else str(field.default)
    return Word(name, default.lower() if isinstance(field.default, bool) else default, field.description or "")


def _words(model: type[BaseModel], names: Iterable[str]) -> tuple[Word, ...]:
    return tuple(_word(name, model.model_fields[name]) for name in names)


def words_of(model: type[BaseModel]) -> tuple[Word, ...]:
    """All words of a model, as a file writes them; **needed** are those without which it is none."""
    found = []
    for name, field in model.model_fields.items():
        word = _word(field.alias or name, field)
        found.append(Word(word.name, _shown(field), f"**needed**. {word.meaning}" if field.is_required() else word.meaning))
    return tuple(found)


def _shown(field: FieldInfo) -> str:
    """A default as a file says it; empty for one that is made anew, or says nothing."""
    value = field.default
    if field.is_required() or field.default_factory or value in (None, (), "", {}) or isinstance(value, BaseModel):
        return ""
    if isinstance(value, timedelta):
        seconds = int(value.total_seconds())
        return next(
            (f"{seconds // size}{unit}" for unit, size in (("d", 86400), ("h", 3600), ("m", 60)) if seconds and not seconds % size),
            f"{seconds}s",
        )
    return str(value).lower() if isinstance(value, bool) else str(value)


def kinds(family: Variants[Any]) -> list[Entry]:
    """The kinds of a declaration, each with its own words."""
    entries = []
    for kind in family.classes():
        name, *also = variants.words(kind)
        own = _words(kind, [word for word in kind.model_fields if word != "type"])
        entries.append(Entry(name, *documented(kind), own, tuple(also)))
    return entries


def transforms() -> list[Entry]:
    """The transforms of mappings."""
    return [Entry(name, *documented(function)) for name, function in vocabulary("transform").items()]


def checks() -> list[Entry]:
    """The checks of row rules."""
    return [Entry(name, *documented(check.fails), _words(RowRule, check.words)) for name, check in vocabulary("check").items()]


def metrics() -> list[Entry]:
    """The metrics of table rules."""
    return [Entry(name, *documented(metric.value), _words(TableRule, metric.words)) for name, metric in vocabulary("metric").items()]


def attribute_kinds() -> list[Entry]:
    """The kinds of attributes, each with its levels, and the cuts that it alone knows."""
    entries = []
    for kind in all_kinds():
        labels = kind.comparison.labels if kind.comparison else (*kind.alone_levels, "different")
        text = f"{' '.join((inspect.getdoc(kind) or '').split())} Levels: {' · '.join(labels)}."
        own = f" Cuts of its own: {', '.join(f'`{name}`' for name in kind.cuts)}." if kind.cuts else ""
        entries.append(Entry(kind.name, f"{text}{own}", f"`{kind.example}` → `{kind.standardize(kind.example)}`"))
    return entries


SECTIONS = [
    Section(
        "Authentication",
        "How requests of a source are signed: `auth` of `include/sources/<source>.yaml`. Secrets are in the Connection.",
        "include/spine/http/auth/",
        "auth:",
        lambda: kinds(AUTH_KINDS),
    ),
    Section(
        "Paging",
        "How the next page of a stream is found: `paging` of a stream.",
        "include/spine/http/paging/",
        "paging:",
        lambda: kinds(PAGING_KINDS),
    ),
    Section(
        "Formats of answers",
        "How answers are read: `response` of a stream, as `response: csv`. What is compressed by gzip or zip is unpacked, within the "
        "bounds of files (`SPINE_BOUNDS`).",
        "include/spine/sources/decoders/",
        "response:",
        lambda: kinds(DECODER_KINDS),
    ),
    Section(
        "Transforms",
        "What a mapping makes of a text: `transform` of a field. What a transform does not understand it leaves as it is.",
        "include/spine/normalize/transforms.py",
        "",
        transforms,
    ),
    Section(
        "Checks",
        "What a row has to be: `row_rules` of an entity. A row that fails goes to quarantine with the rule's `reason`.",
        "include/spine/quality/checks.py",
        "row_rules:\n  -",
        checks,
    ),
    Section(
        "Metrics",
        "What a whole table has to be: `table_rules` of an entity, with `min` and `max`. A failure stops the run, of severity `warning` it "
        "is reported; a run with less than `min_rows` rows is not judged.",
        "include/spine/quality/metrics.py",
        "table_rules:\n  -",
        metrics,
    ),
    Section(
        "Attribute kinds",
        "What an attribute is to matching: `attributes` of an entity's `matching` block and of `spine match`. An example is a raw value "
        f"and its comparable form. Cuts of every kind: {', '.join(f'`{name}`' for name in CUTS)}.",
        "include/spine/identity/kinds/",
        "",
        attribute_kinds,
    ),
]


def page(sections: list[Section]) -> str:
    """The page as it is kept in the repository."""
    return "\n".join([_HEAD, *(_section(section) for section in sections)])


def _section(section: Section) -> str:
    entries = section.entries()
    head = f"## {section.title}\n\n{section.intro} A new one goes to `{section.home}`.\n"
    if not section.within:
        rows = [f"| `{entry.name}` | {entry.text} | {entry.example} |" for entry in entries]
        return "\n".join([head, "| word | what it does | example |", "| --- | --- | --- |", *rows, ""])
    return "\n".join([head, *(_entry(entry, section.within) for entry in entries)])


def _entry(entry: Entry, within: str) -> str:
    also = "".join(f" Also written `{word}`." for word in entry.also)
    parts = [f"### `{entry.name}`\n\n{entry.text}{also}\n"]
    if entry.words:
        rows = [f"| `{word.name}` | {f'`{word.default}`' if word.default else ''} | {word.meaning} |" for word in entry.words]
        parts.append("\n".join(["| word | default | meaning |", "| --- | --- | --- |", *rows, ""]))
    depth = "    " if within.endswith("-") else "  "
    lines = f"{within} {indent(entry.example, depth).strip()}" if within.endswith("-") else f"{within}\n{indent(entry.example, depth)}"
    parts.append(f"```yaml\n{lines}\n```\n")
    return "\n".join(parts)


def write(path: Path = PAGE) -> Path:
    """Write the page; returns its path."""
    path.write_text(page(SECTIONS), encoding="utf-8")
    return path


if __name__ == "__main__":
    say(str(write()))
