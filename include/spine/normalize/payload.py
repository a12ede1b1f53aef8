"""Reads a payload (raw JSON, parsed once to a variant): one value by its path, and everything that no mapping names.

A path is dotted (`properties.email`); a field whose own name has the dots (`Account.Name` in a CSV) comes before what a path finds. A blank
text counts as missing, and U+0000, which PostgreSQL cannot hold, is no part of a text.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from spine.core.errors import ConfigError

if TYPE_CHECKING:
    from pyspark.sql import Column

# All of Unicode's white space, and what takes no width: https://www.unicode.org/Public/UCD/latest/ucd/PropList.txt (White_Space).
SPACES = "".join(letter for letter in map(chr, range(0x3001)) if letter.isspace())
MARKS = "".join(letter for letter in map(chr, (0xAD, 0x180E, *range(0x200B, 0x2070), 0xFEFF)) if not letter.isspace())
EDGES = SPACES + MARKS
ENTRIES = "map<string,variant>"
Tree = dict[str, Any]


def _ranges(letters: str) -> str:
    """Letters as ranges within a class of a regular expression: Java asks the members of a class one after the other."""
    ranges: list[list[str]] = []
    for letter in sorted(letters):
        if ranges and ord(letter) == ord(ranges[-1][1]) + 1:
            ranges[-1][1] = letter
        else:
            ranges.append([letter, letter])
    return "".join(first if first == last else f"{first}-{last}" for first, last in ranges)


def letters_of(letters: str) -> str:
    """A regular expression's class of these letters, none of which is visible ASCII: those, the usual ones, are told first."""
    return rf"[\x00-\x20\x7F-\x{{10FFFF}}&&[{_ranges(letters)}]]"


_LONGEST_NUMBER = 400  # letters; a double has up to 309 digits before its point
_VISIBLE = f"[!-~]|[^{_ranges(EDGES)}]"


def variant_path(path: str) -> str:
    """The JSON path of a dotted path. Raises ConfigError for a name with both kinds of quotes."""
    return "$" + "".join(_step(part) for part in path.split("."))


def _step(name: str) -> str:
    found = step(name)
    if found is None:
        raise ConfigError(f"field name {name!r} has both kinds of quotes", hint="Rename the field at the source")
    return found


def step(name: str) -> str | None:
    """A field's name within a JSON path; None if no path can hold it, since it has both kinds of quotes."""
    return next((f"[{quote}{name}{quote}]" for quote in ("'", '"') if quote not in name), None)


def text_at(document: Column, path: str) -> Column:
    """The value at `path` as text, nested values as JSON; null if it is absent or null."""
    from pyspark.sql import functions as F

    text = F.try_variant_get(document, variant_path(path), "string")
    if "." in path:
        text = F.coalesce(F.try_variant_get(document, "$" + _step(path), "string"), text)
    return without_nul(text)


def unless_blank(text: Column) -> Column:
    """The text, or null if nothing of it can be seen."""
    from pyspark.sql import functions as F

    return F.when(text.rlike(_VISIBLE), text)


def trimmed(text: Column, also: str = "") -> Column:
    """The text without white space of any script and without invisible marks at its ends, and without the letters `also`.

    By an expression, since `btrim` searches all those letters for each letter that it looks at. Of a run of them only the first one is
    tried, so that long ones stay linear.
    """
    from pyspark.sql import functions as F

    edge = f"[{also}{letters_of(EDGES)}]" if also else letters_of(EDGES)
    return F.regexp_replace(text, rf"\A{edge}++|(?={edge})(?<!{edge}){edge}++\z", "")


def short_number(text: Column) -> Column:
    """The text, or null if it is longer than any number that is meant: Java reads digits in quadratic time."""
    from pyspark.sql import functions as F

    return F.when(F.length(text) <= _LONGEST_NUMBER, text)


def without_nul(text: Column) -> Column:
    """The text without U+0000."""
    from pyspark.sql import functions as F

    return F.replace(text, F.lit("\0"), F.lit(""))


def unmapped(document: Column, mapped: Iterable[str]) -> Column:
    """JSON object of all that the paths in `mapped` do not name, at its own place; `{}` if nothing is left."""
    from pyspark.sql import functions as F

    paths = list(mapped)
    rest, dotted = _rest(document, _tree(paths)), [path for path in paths if "." in path]
    return F.to_json(F.map_filter(rest, lambda key, _: ~key.isin(*dotted)) if dotted else rest)


def _tree(paths: Iterable[str]) -> Tree:
    """The paths as nested maps; an empty one is a leaf: a path that ends here names the whole branch."""
    below: dict[str, list[str]] = {}
    for path in paths:
        head, _, rest = path.partition(".")
        below.setdefault(head, []).append(rest)
    return {head: {} if "" in rests else _tree(rests) for head, rests in below.items()}


def _rest(document: Column, tree: Tree) -> Column:
    from pyspark.sql import functions as F

    entries = F.try_variant_get(document, "$", ENTRIES)
    rest = F.map_filter(entries, lambda key, _: ~key.isin(*tree))
    for name, branch in tree.items():
        if branch:
            rest = F.map_concat(rest, _branch_rest(document, name, branch))
    return rest


def _branch_rest(document: Column, name: str, branch: Tree) -> Column:
    """What is left below `name`, as a map of one entry or none; kept whole where it is no object at all."""
    from pyspark.sql import functions as F

    value = F.try_variant_get(document, "$" + _step(name), "variant")
    inner = _rest(value, branch)
    entry = F.create_map(F.lit(name), F.when(inner.isNull(), value).otherwise(F.try_parse_json(F.to_json(inner))))
    nothing_left = value.isNull() | F.coalesce(F.size(inner) == 0, F.lit(False))
    return F.map_filter(entry, lambda _, __: ~nothing_left)
