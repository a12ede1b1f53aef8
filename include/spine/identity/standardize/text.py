"""Raw texts -> comparable texts: what all kinds of attributes have in common. Pure functions of one value.

Placeholders and values without content become None or nothing.
"""

from __future__ import annotations

import re
import unicodedata

from spine.identity.standardize import vocabulary as words

SEP = "\x1f"
MAX_LENGTH = 400
CACHED = 100_000  # names, towns and codes come again and again
_WORD = re.compile(r"[^\W_]+", re.UNICODE)
BRACKETS = re.compile(r"\([^)]*\)")
APOSTROPHE = re.compile("['\u2019`\u00b4]")


def fold(text: str) -> str:
    """`text` in lower case without accents, at most MAX_LENGTH characters."""
    text = text[:MAX_LENGTH]
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text.replace("ß", "ss"))
    return "".join(char for char in decomposed if not unicodedata.combining(char)).lower()[:MAX_LENGTH]


def tokens(text: str | None) -> list[str]:
    """The words of `text`, folded; apostrophes join (`o'neil` -> `oneil`), everything else separates."""
    return _WORD.findall(APOSTROPHE.sub("", fold(text))) if text else []


def content(text: str | None) -> str:
    """`text` folded, `` if it is a placeholder or has no words."""
    folded = fold(text).strip() if text else ""
    if folded in words.PLACEHOLDERS or not _WORD.search(folded) or (len(folded) > 2 and folded == folded[0] * len(folded)):
        return ""
    return folded


def is_placeholder(text: str) -> bool:
    """Whether a text says nothing."""
    return not content(text)


def plain(text: str | None) -> str | None:
    """Words of any text, folded."""
    return None if not text or is_placeholder(text) else " ".join(tokens(text)) or None
