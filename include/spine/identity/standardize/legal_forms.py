"""Legal forms of organisations: what a name ends or begins with that says nothing of which organisation it is (`legal_forms.csv`)."""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from spine.identity.standardize.text import fold, tokens

_TABLE = Path(__file__).with_name("legal_forms.csv")
_LONGEST = 9  # words of a form
_BETWEEN = re.compile(r"(?<=\b\w)[./](?=\w\b)|(?<=\w)\.")  # `s.r.o.`, `a/s`, `ltd.`
_WITHIN = re.compile('(?<=\\w)["\u05f4](?=\\w)')  # Hebrew abbreviations: the mark before the last letter
_UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_FOREIGN = re.compile("[\u0370-\u03ff\u0400-\u1dff\u3040-\u30ff\u3220-\u9fff\uac00-\ud7af\uff66-\uff9f]")
_WORD = re.compile(r"\w+")


def joined(folded: str) -> str:
    """A folded name whose abbreviations are words: without their dots and slashes, `and` for `&`."""
    return _BETWEEN.sub("", _WITHIN.sub("", folded)).replace("&", " and ")


@dataclass(frozen=True)
class _Forms:
    """Words of forms that end a name and of those that begin one."""

    ending: frozenset[tuple[str, ...]]
    beginning: frozenset[tuple[str, ...]]

    def cut(self, words: Sequence[str]) -> list[str]:
        """The words of a name without forms at its end and beginning, the longest first, as long as a word is left."""
        kept = list(words)
        while size := next((size for size in _sizes(kept) if self._ends(kept[-size:])), 0):
            del kept[-size:]
        while size := next((size for size in _sizes(kept) if tuple(kept[:size]) in self.beginning), 0):
            del kept[:size]
        return kept

    def _ends(self, words: Sequence[str]) -> bool:
        """Whether words are a form, also one that is written letter by letter (`s p a`)."""
        spelled = len(words) > 1 and all(len(word) == 1 for word in words)
        return tuple(words) in self.ending or (spelled and ("".join(words),) in self.ending)


def _sizes(words: Sequence[str]) -> range:
    return range(min(_LONGEST, len(words) - 1), 0, -1)


def _forms(forms: Iterable[str], letters: Callable[[str], str]) -> _Forms:
    found = [(form.startswith("^"), tuple(_WORD.findall(joined(letters(form))))) for form in forms]
    return _Forms(frozenset(words for first, words in found if not first), frozenset(words for first, words in found if first))


@cache
def _table() -> tuple[_Forms, _Forms, tuple[str, ...]]:
    """Forms in Latin letters, those in others, and those of scripts without spaces, the longest first."""
    lines = (line for line in _TABLE.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))
    forms = {form for row in csv.DictReader(lines, restkey="rest") for form in _row(row)}
    unspaced = {form for form in forms if _UNSPACED.search(form)}
    latin = {form for form in forms if not _FOREIGN.search(form)}
    ordered = sorted({fold(form) for form in unspaced}, key=lambda form: (-len(form), form))
    return _forms(latin, fold), _forms(forms - latin - unspaced, _lower), tuple(ordered)


def _lower(text: str) -> str:
    return unicodedata.normalize("NFKC", text).lower()


def _row(row: dict[str, str]) -> list[str]:
    return [form.strip() for form in ",".join([row["forms"], *(row.get("rest") or ())]).split("|") if form.strip()]


def _without_unspaced(folded: str) -> str:
    """A folded name without a Chinese, Japanese or Korean form at its beginning or end, unless nothing else is left."""
    if not _UNSPACED.search(folded):
        return folded
    name = folded.strip()
    for form in _table()[2]:
        rest = name.removeprefix(form) if name.startswith(form) else name.removesuffix(form)
        if rest != name and rest.strip():
            return _without_unspaced(rest)
    return folded


def without_forms(text: str) -> list[str]:
    """The words of an organisation's name, folded, without the legal forms that it begins or ends with, unless nothing else is left.

    Forms in other than Latin letters count as such only if they are written so: what `AT` is in Ukrainian is none in `AT&T`.
    """
    latin, foreign, _ = _table()
    if _FOREIGN.search(text):
        native = _WORD.findall(joined(_lower(text)))
        kept = foreign.cut(native)
        text = text if len(kept) == len(native) else " ".join(kept)
        return latin.cut(tokens(joined(_without_unspaced(fold(text)))))
    return latin.cut(tokens(joined(fold(text))))
