"""Letters and digits in the one form in which they are compared, whatever script, width or accent they were written with."""

# ruff: noqa: RUF001 - letters of other alphabets are what this is about
from __future__ import annotations

import re
import unicodedata

from text_unidecode import unidecode

MAX_LENGTH = 400
# Marks that spell no other letter: accents of Latin, Greek and Cyrillic, points of Hebrew, vowel signs of Arabic. Others stay, such as the
# voicing marks of kana and the signs of Indian scripts, without which a word is another one.
_MARKS = re.compile(
    "[\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff]"
)
_ROMANISED = ("LATIN", "GREEK", "CYRILLIC")  # alphabets that names are written with side by side, letter by letter
_OWN = {
    "ə": "e", "ŉ": "n", "ʻ": "'", "ʼ": "'", "ʹ": "'", "\u0640": "",  # the last is the stroke that stretches Arabic words
    "ى": "ي", "ی": "ي", "ک": "ك", "ة": "ه", "ہ": "ه", "ھ": "ه",  # Persian and Urdu forms of Arabic letters
}  # fmt: skip
_TO_HIRAGANA = 0x60  # katakana lie so far behind the hiragana that sound alike


class _Letters(dict[int, str]):
    """What becomes of each letter, found once per letter."""

    def __missing__(self, code: int) -> str:
        found = self[code] = _plain(chr(code))
        return found


def _plain(char: str) -> str:
    if char in _OWN:
        return _OWN[char]
    if _MARKS.match(char):
        return ""
    if "ァ" <= char <= "ヶ" or char in "ヽヾ":
        return chr(ord(char) - _TO_HIRAGANA)
    if char.isdecimal():
        return str(unicodedata.decimal(char))
    if char.isalpha() and unicodedata.name(char, "").startswith(_ROMANISED):
        return re.sub("[^a-z]", "", unidecode(char).lower()) or ("" if unidecode(char) else char)
    return char


_LETTERS = _Letters()


def fold(text: str) -> str:
    """`text` in lower case without accents, in plain letters and digits, at most MAX_LENGTH characters.

    Latin letters that no decomposition folds (`ø ł ß æ þ`), Greek and Cyrillic ones are written with plain Latin letters, full and half
    width and katakana as usual letters, digits of every script as `0` to `9`. What is folded stays as it is if it is folded again.
    """
    text = text[:MAX_LENGTH]
    if text.isascii():
        return text.lower()
    while True:  # twice is enough for nearly all texts: what a letter becomes may join a mark that is left
        plainer = unicodedata.normalize("NFC", unicodedata.normalize("NFKD", text).lower().translate(_LETTERS))[:MAX_LENGTH]
        if plainer == text or plainer.isascii():
            return plainer
        text = plainer
