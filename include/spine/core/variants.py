"""Declarations that come in several kinds, each told by its word `type`: a kind is one class in one file of a package.

Whatever file lies in the package is found, so that a new kind is a new file and nothing else; the model that reads YAML and its
JSON Schema follow from the classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from inspect import isabstract
from pkgutil import iter_modules
from typing import Annotated, Any, Generic, TypeVar, Union, get_args

from pydantic import BeforeValidator, Field

from spine.core.declarations import Strict

Kind = TypeVar("Kind", bound=Strict)


@dataclass(frozen=True)
class FirstVersion:
    """What files of the first version say: each of these `kinds` had all of these `words`, whether it reads them or not.

    So they are passed over there, and nowhere else: beside any other kind a word that it does not know is a mistake.
    """

    kinds: frozenset[str] = frozenset()
    words: frozenset[str] = frozenset()


_NO_FIRST = FirstVersion()


class Variants(Generic[Kind]):
    """The kinds of one declaration: the classes in the modules of `package` that descend from `base` and have a word of their own.

    Without `type` a file means `default`.
    """

    def __init__(self, base: type[Kind], package: str, default: str, first: FirstVersion = _NO_FIRST) -> None:
        self._base, self._package, self._default, self._first = base, package, default, first
        for module in iter_modules(import_module(package).__path__):
            import_module(f"{package}.{module.name}")

    def classes(self) -> list[type[Kind]]:
        """The class of each kind, by its word; not what kinds only derive from. Raises ValueError if two have the same word."""
        taken: dict[str, type[Kind]] = {}
        for kind in dict.fromkeys(_descendants(self._base)):
            if kind.__module__.startswith(f"{self._package}.") and not isabstract(kind):
                for word in words(kind):
                    if taken.setdefault(word, kind) is not kind:
                        raise ValueError(f"{kind.__qualname__} and {taken[word].__qualname__} both have `type: {word}`")
        return sorted(dict.fromkeys(taken.values()), key=lambda kind: words(kind)[0])

    def choice(self) -> Any:
        """The type of a field that holds any of the kinds."""
        kinds = tuple(self.classes())

        def complete(data: Any) -> Any:
            if not isinstance(data, dict):
                return data
            data = {"type": self._default, **data}
            chosen = next((kind for kind in kinds if data["type"] in words(kind)), None)
            if chosen is None:
                return data
            if not self._first.kinds.intersection(words(chosen)):
                return data
            return {name: value for name, value in data.items() if name in chosen.model_fields or name not in self._first.words}

        # mypy cannot follow a union that is made when the program starts.
        return Annotated[Union[kinds], Field(discriminator="type"), BeforeValidator(complete)]  # noqa: UP007

    def parse(self, **content: Any) -> Kind:
        """The declaration of a kind by its words, as from a file. Raises pydantic's ValidationError."""
        from pydantic import TypeAdapter

        declared: Kind = TypeAdapter(self.choice()).validate_python(content)
        return declared


def _descendants(base: type[Kind]) -> Iterator[type[Kind]]:
    for child in base.__subclasses__():
        yield child
        yield from _descendants(child)


def words(kind: type[Strict]) -> tuple[str, ...]:
    """The words that `type` may have for this kind; the first one is its name, others are kept for files that say so.

    None for a class whose `type` is any text: others derive from it.
    """
    return tuple(get_args(kind.model_fields["type"].annotation))
