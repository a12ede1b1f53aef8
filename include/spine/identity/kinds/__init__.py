"""Kinds of attributes, a class and a file each; the file's name is the kind's in entity files. A new file is a new kind."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from spine.core.choices import KINDS
from spine.identity.attribute import AttributeKind


@cache
def kind_of(name: str) -> AttributeKind:
    """The kind of that name."""
    kind: AttributeKind = import_module(f"{__name__}.{name}").KIND
    return kind


def all_kinds() -> tuple[AttributeKind, ...]:
    """Every kind, by name."""
    return tuple(kind_of(name) for name in KINDS)
