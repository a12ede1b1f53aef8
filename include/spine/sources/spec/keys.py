"""What tells a record from the others of its stream."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import Field, TypeAdapter, WrapValidator

from spine.core.texts import FieldPath, nearest

KeyWord = Literal["hash", "singleton"]
_WORDS = get_args(KeyWord)
_FIELDS: TypeAdapter[tuple[str, ...]] = TypeAdapter(Annotated[tuple[FieldPath, ...], Field(min_length=1)])


def _key(value: Any, _: Any) -> Any:
    """A word or a list of fields, each judged by itself: of a wrong field nobody wants to read that it is no word."""
    if not isinstance(value, str):
        return _FIELDS.validate_python(value)
    if value in _WORDS:
        return value
    raise ValueError(f"Input should be a list of fields, 'hash' or 'singleton'{nearest(value, _WORDS)}")


Key = Annotated[tuple[FieldPath, ...] | KeyWord, WrapValidator(_key)]
