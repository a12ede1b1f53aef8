"""Which column of a file holds what: told by the column's name first, and by what its values look like where that leaves a doubt.

A guess, and printed as one. Names are compared in plain letters, word by word, in a dozen languages; values are asked of the kind itself,
whose `standardize` understands them or not. What is stated is never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from spine.identity.kinds import kind_of
from spine.identity.standardize.letters import fold

_NAMES = Path(__file__).with_name("column_names.txt")
# Too general to be the end of a longer name: a file's name is no person's.
_ALONE = frozenset(("name", "naam", "navn", "namn", "nimi", "nev", "nome", "person", "contact", "account", "business", "nazwa", "nazev"))
_NOT = re.compile(r"\b(fax|telefax|count|flag|type|consent|verified|valid|status|opt|domain count|lat|lon|length)\b")
_OF_BIRTH = re.compile(r"\b(birth|born|geburts\w*|naissance|nacimiento|nascita|nascimento|geboorte\w*)\b")
_BREAK = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_LEAST, _STATED, _SAME, _ENDS, _LOOKS = 30, 100, 90, 70, 40
_WORDY = frozenset({"forename", "surname", "full_name", "organization", "city"})
MOST_LIKE = 0.5  # of the values must be of the kind


@dataclass(frozen=True)
class Column:
    """A column of a file: its name, and some of its values."""

    name: str
    values: Sequence[str]


def plain(name: str) -> str:
    """A column's name as words of plain letters: `FirstName`, `first_name` and `FIRST NAME` are one."""
    return " ".join(re.findall(r"[^\W_]+", fold(_BREAK.sub(" ", name))))


def guessed(columns: Sequence[Column], kinds: Mapping[str, str]) -> dict[str, str]:
    """The column of each attribute (by its kind), as far as one can be told: the likeliest first, none twice."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    scored = [
        (-score, at, place, attribute, column.name)
        for at, (attribute, kind) in enumerate(kinds.items())
        for place, column in enumerate(columns)
        if (score := _score(column, attribute, kind)) >= _LEAST
    ]
    for _, _, _, attribute, name in sorted(scored):
        if attribute not in found and name not in taken:
            found[attribute] = name
            taken.add(name)
    return {attribute: found[attribute] for attribute in kinds if attribute in found}


def likely_ids(columns: Sequence[Column], taken: Iterable[str], stem: str) -> list[str]:
    """Columns that may hold ids, the likeliest first: by their names, then any whose values are all there and differ, as far as seen."""
    used, words = set(taken), _known()["id"]
    own = f"{plain(stem)} id"

    def rank(column: Column) -> tuple[int, int]:
        name = plain(column.name)
        last = name.rpartition(" ")[2]
        if name in words or name in (own, own.replace("s id", " id")):
            return (0, words.index(name) if name in words else 0)
        return (1, 0) if last in ("id", "key", "nr", "no", "uuid", "guid") else (2, 0)

    free = [column for column in columns if column.name not in used and any(column.values)]
    different = [column for column in free if _differ([value for value in column.values if value])]
    named = [column for column in different if rank(column)[0] < 2]
    first = different[:1] if different and different[0] is columns[0] and all(columns[0].values) else []
    return list(dict.fromkeys(column.name for column in [*sorted(named, key=rank), *first]))


def _differ(values: Sequence[str]) -> bool:
    return len(set(values)) == len(values)


@cache
def _known() -> Mapping[str, Sequence[str]]:
    """Names of columns by kind, the likelier first."""
    lines = [line for line in _NAMES.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    found: dict[str, list[str]] = {}
    names: list[str] = []
    for line in lines:
        if not line.startswith(" "):
            names = found[line.rstrip(":")] = []
        names += [name.strip() for name in line.split("|") if line.startswith(" ") and name.strip()]
    return found


def _words_of(attribute: str, kind: str) -> Sequence[str]:
    """Names that a column of the kind may have. A date is told by what it is the date of, never by being one."""
    if kind == "date":
        return _known()["born"] if re.search(r"\b(birth|born|dob|birthday|birthdate)\b", plain(attribute)) else ()
    return _known().get(kind, ())


def _score(column: Column, attribute: str, kind: str) -> int:
    """How well a column fits an attribute, from 0 to 100."""
    name = plain(column.name)
    by_name = 0
    if column.name == attribute:
        return _STATED
    if name == plain(attribute):
        by_name = _STATED - 1
    elif not _NOT.search(name) and (kind == "date" or not _OF_BIRTH.search(name)):
        by_name = _fits(name, [plain(attribute), *_words_of(attribute, kind)])
    by_look = _LOOKS if kind in _UNMISTAKABLE and _share(column.values, _UNMISTAKABLE[kind]) >= 0.8 else 0
    return max(by_name, by_look) if _believable(column.values, kind) else 0


def _fits(name: str, phrases: Sequence[str]) -> int:
    if name in phrases:
        return _SAME - min(phrases.index(name), 15)
    close = name.replace(" ", "")
    if any(close == phrase.replace(" ", "") for phrase in phrases):
        return _SAME - 16
    words = name.split()
    telling = [phrase for phrase in phrases if len(phrase) > 2 and phrase not in _ALONE]
    behind = [len(words) - len(phrase.split()) for phrase in telling if f" {name}".endswith(f" {phrase}")]
    before = [len(words) - len(phrase.split()) for phrase in telling if f"{name} ".startswith(f"{phrase} ")]
    if behind:
        return max(_LEAST, _ENDS - 5 * min(behind))
    return max(_LEAST, _ENDS - 15 - 5 * min(before)) if before else 0


def _is_address(value: str) -> bool:
    name, _, host = value.partition("@")
    return bool(name) and "." in host[1:-1] and not any(char.isspace() for char in value)


def _is_link(value: str) -> bool:
    return value.lower().startswith(("http://", "https://", "www."))


def _is_host(value: str) -> bool:
    return "." in value[1:-1] and not any(char.isspace() for char in value)


def _is_number(value: str) -> bool:
    return sum(char.isdigit() for char in value) >= 5


# What nothing else looks like, and what each value of a kind looks like at least.
_UNMISTAKABLE: Mapping[str, Callable[[str], bool]] = {"email": _is_address, "url": _is_link}
_LOOKS_LIKE: Mapping[str, Callable[[str], bool]] = {"email": lambda value: "@" in value, "url": _is_host, "phone": _is_number}


def _share(values: Sequence[str], like: Callable[[str], bool]) -> float:
    """The share of the values that look like something."""
    filled = [value for value in values if value]
    return sum(like(value.strip()) for value in filled) / len(filled) if filled else 0.0


def _believable(values: Sequence[str], kind: str) -> bool:
    """Whether enough of the values are of the kind; a column without values may be anything."""
    filled = [value for value in values if value]
    if not filled:
        return True
    if kind in _LOOKS_LIKE and _share(filled, _LOOKS_LIKE[kind]) < MOST_LIKE:
        return False
    if kind in _WORDY and sum(any(letter.isalpha() for letter in value) for value in filled) < MOST_LIKE * len(filled):
        return False
    understood = kind_of(kind).standardize
    return sum(understood(value) is not None for value in filled) >= MOST_LIKE * len(filled)
