"""What a person may state instead of leaving it to the matching engine: blocking keys, comparison levels, weights, certain and never rules.

The grammar lives here, so that a mistake is found when the file is read; what a cut or a level does is `identity.comparing.stated`.

    key      attribute | attribute.cut          surname, surname.sound, postcode.first3
    level    exact | nickname | same CUT | prefix N | suffix N | edits <= N | days <= N | years <= N
             | jaro_winkler >= X | words >= X | letters >= X | difference <= X | difference <= X%
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pydantic import ConfigDict, Field, field_validator, model_validator

from spine.core.declarations import Strict

# A kind of attributes is a file of `identity/kinds`, found by its name as an odd source is; only its words are needed here.
_KINDS = "spine.identity.kinds"
KINDS = tuple(sorted(path.stem for path in (Path(__file__).parents[1] / "identity" / "kinds").glob("[a-z]*.py")))
IGNORE = "ignore"
if TYPE_CHECKING:
    Kind: TypeAlias = str
else:
    Kind = Literal[(*KINDS, IGNORE)]
CHOSEN = "chosen"
# Cuts and levels that every kind knows; a name with N is followed by a number (first3).
CUTS = ("words", "initial", "initials", "sound", "sorted", "firstN", "lastN", "digitsN")
LEVELS = ("exact", "jaro_winkler >= X", "edits <= N", "words >= X", "letters >= X", "prefix N", "suffix N", "same CUT")
_NUMBERED = re.compile(r"([a-z]+?)([1-9]\d?)")
_SHARE = r"(0(?:\.\d+)?|\.\d+|1(?:\.0+)?)"
_LEVEL_FORMS = {
    "exact": re.compile(r"(exact)"),
    "same CUT": re.compile(r"same\s+([a-z]+\d*)"),
    "prefix N": re.compile(r"prefix\s+([1-9]\d?)"),
    "suffix N": re.compile(r"suffix\s+([1-9]\d?)"),
    "edits <= N": re.compile(r"edits\s*<=\s*(\d{1,2})"),
    "jaro_winkler >= X": re.compile(rf"jaro_winkler\s*>=\s*{_SHARE}"),
    "words >= X": re.compile(rf"words\s*>=\s*{_SHARE}"),
    "letters >= X": re.compile(rf"letters\s*>=\s*{_SHARE}"),
}
Mistake: TypeAlias = tuple[tuple[str | int, ...], str]


@dataclass(frozen=True)
class Cut:
    """What is taken of a value: the name of the cut (`` for all of it) and, for first3 and its like, the number."""

    name: str = ""
    number: int = 0


@dataclass(frozen=True)
class Key:
    """One part of a blocking key."""

    attribute: str
    cut: Cut


@dataclass(frozen=True)
class Level:
    """One level of a comparison: its form (as `known_levels` names it), its number, or its cut."""

    form: str
    number: float = 0.0
    cut: Cut = Cut()


def known_cuts(kind: str) -> tuple[str, ...]:
    """Names of the cuts that values of a kind have."""
    return (*CUTS, *_own(kind).cuts)


def known_levels(kind: str) -> tuple[str, ...]:
    """Forms of the levels that values of a kind are compared by."""
    return (*LEVELS, *_own(kind).levels)


def _own(kind: str) -> Any:
    return import_module(f"{_KINDS}.{kind}").KIND


@cache
def _pattern(form: str) -> re.Pattern[str]:
    """What a level of this form looks like: N stands for a whole number, X for any."""
    if form in _LEVEL_FORMS:
        return _LEVEL_FORMS[form]
    numbers = {"N": r"(\d{1,5})", "X": r"(\d+(?:\.\d+)?)"}
    found = r"\s*".join(numbers.get(part, re.escape(part)) for part in re.findall(r"[a-z_]+|<=|>=|[NX]|%", form))
    return re.compile(found if "(" in found else f"({found})")


def parse_cut(text: str, kind: str) -> Cut:
    """A cut of a value of `kind`. Raises ValueError with the cuts that this kind knows."""
    numbered = _NUMBERED.fullmatch(text)
    name, number = (f"{numbered[1]}N", int(numbered[2])) if numbered else (text, 0)
    if (name not in CUTS and name not in _own(kind).cuts) or (name == text and name.endswith("N")):
        raise ValueError(f"{text!r} is no cut of a {kind} (known: {', '.join(known_cuts(kind))})")
    return Cut(name, number)


def parse_key(text: str, attributes: Mapping[str, Kind]) -> Key:
    """A part of a blocking key, `attribute` or `attribute.cut`. Raises ValueError that says what is known."""
    attribute, dot, cut = (text, "", "") if text in attributes else text.rpartition(".")
    attribute = attribute or text
    _must_be_used(attribute, attributes)
    return Key(attribute, parse_cut(cut, attributes[attribute]) if dot else Cut())


def parse_level(text: str, kind: str) -> Level:
    """A level of a comparison of values of `kind`. Raises ValueError with the levels that this kind knows."""
    matches = ((form, _pattern(form).fullmatch(text.strip())) for form in known_levels(kind))
    form, found = next(((form, match) for form, match in matches if match), ("", None))
    if found is None:
        raise ValueError(f"{text!r} is no level of a {kind} (known: {', '.join(known_levels(kind))})")
    if form == "same CUT":
        return Level(form, cut=parse_cut(found[1], kind))
    return Level(form, float(found[1]) if found[1][0] in ".0123456789" else 0.0)


def _must_be_used(attribute: str, attributes: Mapping[str, Kind]) -> None:
    if attribute not in attributes:
        raise ValueError(f"unknown attribute {attribute!r} (known: {', '.join(attributes)})")
    if attributes[attribute] == IGNORE:
        raise ValueError(f"attribute {attribute!r} is of kind ignore, it needs the kind of its values")


def _short_forms(*forms: dict[str, Any]) -> ConfigDict:
    """Lets editors know that a declaration may also be written in one of these shorter forms."""

    def extend(schema: dict[str, Any]) -> None:
        whole = dict(schema)
        schema.clear()
        schema["anyOf"] = [*forms, whole]

    return ConfigDict(extra="forbid", frozen=True, populate_by_name=True, json_schema_extra=extend)


_TEXT: dict[str, Any] = {"type": "string"}
_TEXTS: dict[str, Any] = {"type": "array", "items": {"type": "string"}}


class BlockingRule(Strict):
    """Records that share every part of `key` are compared. A list is short for its key, `chosen` for all rules the engine would choose.

    `split` divides keys with too many records by a second key; `budget` is this rule's own.
    """

    model_config = _short_forms(_TEXT, _TEXTS)
    key: tuple[str, ...] = ()
    split: str | None = None
    budget: int | None = Field(default=None, ge=1)

    @property
    def chosen(self) -> bool:
        """Whether this stands for the engine's own rules."""
        return self.key == (CHOSEN,)

    @model_validator(mode="before")
    @classmethod
    def _written_short(cls, data: Any) -> Any:
        return {"key": [data]} if isinstance(data, str) else {"key": data} if isinstance(data, list) else data

    @field_validator("key")
    @classmethod
    def _not_empty(cls, key: tuple[str, ...]) -> tuple[str, ...]:
        if not key:
            raise ValueError("a blocking rule needs at least one attribute")
        return key


class StatedComparison(Strict):
    """Levels of one attribute from agreement to disagreement (a list is short for them), and whether rare values weigh more.

    Without levels those of the attribute's kind hold. `term_frequency` counts on the first level if it is `exact`.
    """

    model_config = _short_forms(_TEXTS)
    levels: tuple[str, ...] | None = Field(default=None, min_length=1)
    term_frequency: bool = True

    @model_validator(mode="before")
    @classmethod
    def _written_short(cls, data: Any) -> Any:
        return {"levels": data} if isinstance(data, list) else data


class FixedWeights(Strict):
    """Chances of each level, the last for `different`, among matches (`m`) and among strangers (`u`). They are not learned."""

    m: tuple[float, ...] = Field(min_length=2)
    u: tuple[float, ...] = Field(min_length=2)

    @model_validator(mode="after")
    def _fit(self) -> FixedWeights:
        if len(self.m) != len(self.u):
            raise ValueError(f"m has {len(self.m)} levels and u has {len(self.u)}")
        for name, chances in (("m", self.m), ("u", self.u)):
            if min(chances) <= 0 or abs(sum(chances) - 1) > 0.02:
                raise ValueError(f"{name} must hold positive chances that add up to 1")
        return self


def grouped(data: Any) -> Any:
    """Lists of attributes, where one attribute alone may stand for a list of one."""
    return [[item] if isinstance(item, str) else item for item in data] if isinstance(data, list) else data


class _Mistakes(list[Mistake]):
    def attempt(self, place: tuple[str | int, ...], parse: Callable[..., Any], *arguments: Any) -> None:
        try:
            parse(*arguments)
        except ValueError as error:
            self.append((place, str(error)))


def mistakes(matching: Any) -> list[Mistake]:
    """What a `Matching` states that its attributes do not allow: places inside it, and what is wrong there."""
    kinds = matching.attributes
    found = _Mistakes()
    for number, rule in enumerate(matching.blocking or ()):
        for at, key in enumerate(() if rule.chosen else rule.key):
            found.attempt(("blocking", number, "key", at), parse_key, key, kinds)
        if rule.split:
            found.attempt(("blocking", number, "split"), parse_key, rule.split, kinds)
    for name, comparison in matching.comparisons.items():
        if name not in kinds or kinds[name] == IGNORE:
            found.attempt(("comparisons", name), _must_be_used, name, kinds)
            continue
        for at, level in enumerate(comparison.levels or ()):
            found.attempt(("comparisons", name, "levels", at), parse_level, level, kinds[name])
    for field in ("same", "never"):
        for number, group in enumerate(getattr(matching, field) or ()):
            for at, name in enumerate(() if field == "never" and group == (CHOSEN,) else group):
                found.attempt((field, number, at), _must_be_used, name, kinds)
    return found
