"""Words that declarations may use because a function of that name is registered: transforms of mappings, checks and metrics of rules.

A package above `core` owns each vocabulary and registers its functions. The models of this package only know where to look, and look when
the first file is read: so an unknown word is a mistake with file, line and field, and a new word is one function and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any, Generic, TypeVar

from pydantic_core import PydanticCustomError, core_schema

PLACES = {
    "transform": "spine.normalize.transforms",
    "script": "spine.normalize.scripts",
    "check": "spine.quality.checks",
    "metric": "spine.quality.metrics",
}
Entry = TypeVar("Entry")


class Vocabulary(Generic[Entry]):
    """What is registered under each word, in the order of registration."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    def add(self, word: str, entry: Entry) -> None:
        """Register an entry. Raises ValueError if the word is taken."""
        if word in self._entries:
            raise ValueError(f"{word!r} is registered twice")
        self._entries[word] = entry

    def __getitem__(self, word: str) -> Entry:
        return self._entries[word]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __contains__(self, word: object) -> bool:
        return word in self._entries

    def items(self) -> list[tuple[str, Entry]]:
        """All words with what is registered under them."""
        return list(self._entries.items())


def vocabulary(name: str) -> Vocabulary[Any]:
    """The vocabulary of that name, with everything that its module registers."""
    found: Vocabulary[Any] = import_module(PLACES[name]).VOCABULARY
    return found


class KnownWord:
    """Marks a text field as a word of a vocabulary: `Annotated[str, KnownWord("transform")]`."""

    def __init__(self, name: str) -> None:
        self._name = name

    def _check(self, word: str) -> str:
        known = vocabulary(self._name)
        if word not in known:
            quoted = [f"'{name}'" for name in known]
            raise PydanticCustomError("unknown_word", "Input should be {known}", {"known": f"{', '.join(quoted[:-1])} or {quoted[-1]}"})
        return word

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], core_schema.CoreSchema]) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: core_schema.CoreSchema, handler: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        return {"type": "string", "enum": list(vocabulary(self._name))}
