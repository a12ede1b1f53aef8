"""The page `docs/sources.md`: every word of a source's file, from the docstrings of its models: `make generate` writes it.

A model is found by standing in the one of `Source`; its docstring says what it is for and ends with `Example:`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from textwrap import indent
from typing import Any, get_args

from pydantic import BaseModel

from spine.cli.reference import Entry, documented, words_of
from spine.core.screen import say
from spine.core.settings import PROJECT
from spine.http.auth.signing import Auth
from spine.http.paging import Paging
from spine.sources.decoders import Decoder
from spine.sources.spec import Source

PAGE = PROJECT / "docs" / "sources.md"
_HEAD = """# The language of sources

Every word of `include/sources/<source>.yaml`, its default and what it means. Made from the code by `make generate`. The kinds of
[authentication](reference.md#authentication), [paging](reference.md#paging) and [formats](reference.md#formats-of-answers) have a page of
their own, and [the README](../README.md#add-a-source) shows a whole file. A word without a default may be left out, unless it is
**needed**.

A text in `{braces}` names a value: a variable of the source, `{start}` and `{end}` of what is read, a field of the `{parent.…}`, of the
`{partition.…}` or of the `{job.…}`. Nothing is computed there. A text that is one placeholder alone has the value itself, a number or a
list; what has no value now is not sent. `{{` and `}}` are braces that mean themselves.
"""


def models(model: type[BaseModel] = Source, place: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """Each model of a source's file with the place where it stands, the outermost first, each once."""
    found: dict[type[BaseModel], str] = {model: place}
    waiting = [(model, place)]
    while waiting:
        outer, at = waiting.pop(0)
        for name, field in outer.model_fields.items():
            step = f"{at}.{field.alias or name}".lstrip(".")
            for inner, many in _inside(field.annotation):
                if inner not in found and not issubclass(inner, Auth | Paging | Decoder):
                    there = step + {"list": "[]", "map": ".<name>"}.get(many, "")
                    found[inner] = there
                    waiting.append((inner, there))
    return iter([(at, inner) for inner, at in found.items()])


def entries(root: type[BaseModel] = Source) -> list[tuple[str, Entry]]:
    """The place and the words of each model. Raises ValueError for a docstring without an example."""
    return [(at, Entry(model.__name__, *documented(model), words_of(model))) for at, model in models(root)]


def _inside(annotation: Any, many: str = "") -> Iterator[tuple[type[BaseModel], str]]:
    """The models in an annotation, and whether they stand in a list or in a map."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, many
        return
    origin = getattr(annotation, "__origin__", None)
    inner = "map" if origin is dict else "list" if origin in (tuple, list) else many
    for part in get_args(annotation):
        yield from _inside(part, inner)


def page() -> str:
    """The page as it is kept in the repository."""
    return "\n".join([_HEAD, *(section(at, entry) for at, entry in entries())])


def section(at: str, entry: Entry, whole: str = "A source") -> str:
    """The part of a page about one model; `whole` is the title of the outermost."""
    rows = [f"| `{word.name}` | {f'`{word.default}`' if word.default else ''} | {word.meaning} |" for word in entry.words]
    title = f"`{at}`" if at else whole
    example = f"{at.rpartition('.')[2].replace('[]', '')}:\n{indent(entry.example, '  ')}" if at else entry.example
    table = "\n".join(["| word | default | meaning |", "| --- | --- | --- |", *rows])
    return f"## {title}\n\n{entry.text}\n\n{table}\n\n```yaml\n{example}\n```\n"


def write(path: Path = PAGE) -> Path:
    """Write the page; returns its path."""
    path.write_text(page(), encoding="utf-8")
    return path


if __name__ == "__main__":
    say(str(write()))
