"""Raw texts -> comparable texts: what all kinds of attributes have in common. Pure functions of one value.

Placeholders and values without content become None or nothing.
"""

from __future__ import annotations

import re
import unicodedata

from spine.identity.standardize import vocabulary as words
from spine.identity.standardize.letters import MAX_LENGTH, fold

__all__ = ["APOSTROPHE", "BRACKETS", "CACHED", "MAX_LENGTH", "SEP", "content", "fold", "is_placeholder", "plain", "tokens"]

SEP = "\x1f"
CACHED = 100_000  # names, towns and codes come again and again
# Signs of Indian and south-east Asian scripts are parts of words.
_SIGNS = "".join(chr(code) for code in range(0x900, 0x1AB0) if unicodedata.category(chr(code)) in ("Mn", "Mc")) + "\u3099\u309a"
_WORD = re.compile(rf"(?:[^\W_]|[{_SIGNS}])+", re.UNICODE)
BRACKETS = re.compile(r"\([^)]*\)")
APOSTROPHE = re.compile("['\u2019`\u00b4]")


def tokens(text: str | None) -> list[str]:
    """The words of `text`, folded; apostrophes join (`o'neil` -> `oneil`), everything else separates."""
    return _WORD.findall(APOSTROPHE.sub("", fold(text))) if text else []


def content(text: str | None) -> str:
    """`text` folded, `` if it has no words or its words say nothing, whatever stands between them (`N. / A.`, `000-00-0000`)."""
    folded = fold(text).strip() if text else ""
    if folded in words.PLACEHOLDERS:
        return ""
    bare = folded if folded.isalnum() else "".join(_WORD.findall(folded))
    if not bare or bare in words.BARE_PLACEHOLDERS or (len(bare) > 2 and bare == bare[0] * len(bare)):
        return ""
    return folded


def is_placeholder(text: str) -> bool:
    """Whether a text says nothing."""
    return not content(text)


def plain(text: str | None) -> str | None:
    """Words of any text, folded."""
    return None if not text or is_placeholder(text) else " ".join(tokens(text)) or None
