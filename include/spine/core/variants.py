"""Declarations that come in several kinds, each told by its word `type`: a kind is one class in one file of a package.

Whatever file lies in the package is found, so that a new kind is a new file and nothing else; the model that reads YAML and its
JSON Schema follow from the classes.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import Annotated, Any, Generic, TypeVar, Union, get_args

from pydantic import BeforeValidator, Field

from spine.core.declarations import Strict

Kind = TypeVar("Kind", bound=Strict)


class Variants(Generic[Kind]):
    """The kinds of one declaration: all subclasses of `base` in the modules of `package`; without `type` a file means `default`.

    Words in `passed_over` may stand beside a kind that does not know them: files of the first version had them for all kinds.
    """

    def __init__(self, base: type[Kind], package: str, default: str, passed_over: frozenset[str] = frozenset()) -> None:
        self._base, self._default, self._passed_over = base, default, passed_over
        for module in iter_modules(import_module(package).__path__):
            import_module(f"{package}.{module.name}")

    def classes(self) -> list[type[Kind]]:
        """The class of each kind, by its word."""
        return sorted(self._base.__subclasses__(), key=lambda kind: words(kind)[0])

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
            return {name: value for name, value in data.items() if name in chosen.model_fields or name not in self._passed_over}

        # mypy cannot follow a union that is made when the program starts.
        return Annotated[Union[kinds], Field(discriminator="type"), BeforeValidator(complete)]  # noqa: UP007

    def parse(self, **content: Any) -> Kind:
        """The declaration of a kind by its words, as from a file. Raises pydantic's ValidationError."""
        from pydantic import TypeAdapter

        declared: Kind = TypeAdapter(self.choice()).validate_python(content)
        return declared


def words(kind: type[Strict]) -> tuple[str, ...]:
    """The words that `type` may have for this kind; the first one is its name, others are kept for files that say so."""
    return tuple(get_args(kind.model_fields["type"].annotation))
