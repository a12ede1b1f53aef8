"""Titles, product names and long texts -> their words in order."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

from spine.identity.standardize.text import APOSTROPHE, MAX_LENGTH, fold, is_placeholder

_LOOSE_WORD = re.compile(r"\d+(?:\.\d+)+|[^\W_]+", re.UNICODE)
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}\b)")
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]{3,}")


def free_text(text: str | None) -> str | None:
    """Words of a title, product name or long text in order; decimals stay whole, unspaced scripts are cut into pairs of characters."""
    if not text or is_placeholder(text):
        return None
    plainer = html.unescape(text[:MAX_LENGTH]) if "&" in text else text
    found = _LOOSE_WORD.findall(_THOUSANDS.sub("", APOSTROPHE.sub("", fold(plainer))))
    if not plainer.isascii():
        found = [piece for word in found for piece in (_pairs(word) if _UNSPACED.match(word) else [word])]
        if _is_garbled(found):
            return None
    return " ".join(found) or None


def _is_garbled(found: Sequence[str]) -> bool:
    """Whether words are what a wrong encoding leaves: mostly single letters, and the same ones over and over."""
    letters = [word for word in found if len(word) == 1 and not word.isdigit()]
    return len(found) >= 4 and len(letters) > 0.6 * len(found) and 2 * len(set(letters)) <= len(letters)


def _pairs(word: str) -> list[str]:
    return [word[at : at + 2] for at in range(len(word) - 1)]
