"""What people and systems do to a name on its way into a database: typos, nicknames, capitals, lost accents."""

from __future__ import annotations

import unicodedata
from random import Random

from spine.sandbox.names import LEGAL_VARIANTS, NICKNAMES

_KEYS = {"a": "s", "s": "d", "e": "r", "r": "t", "i": "o", "o": "p", "n": "m", "m": "n", "t": "y", "u": "i", "l": "k", "c": "v"}


def typo(text: str, rng: Random) -> str:
    """One slip of the fingers: swapped, dropped, doubled or neighbouring letter. Texts under 3 letters stay."""
    if len(text) < 3:
        return text
    spot, kind = rng.randrange(1, len(text) - 1), rng.randrange(4)
    if kind == 0:
        return text[:spot] + text[spot + 1] + text[spot] + text[spot + 2 :]
    if kind == 1:
        return text[:spot] + text[spot + 1 :]
    if kind == 2:
        return text[:spot] + text[spot] + text[spot:]
    return text[:spot] + _KEYS.get(text[spot], "e") + text[spot + 1 :]


def plain(text: str) -> str:
    """The text without accents, as old systems store it."""
    return unicodedata.normalize("NFKD", text.replace("ß", "ss")).encode("ascii", "ignore").decode()


def letter_case(text: str, rng: Random) -> str:
    """Now and then all capitals or all small."""
    roll = rng.random()
    if roll < 0.04:
        return text.upper()
    return text.lower() if roll < 0.06 else text


def given_name(name: str, rng: Random, rate: float) -> str:
    """The given name as entered: nickname, initial, added middle initial or typo; `rate` scales the slips."""
    roll = rng.random()
    if roll < 0.10 * rate and name in NICKNAMES:
        name = NICKNAMES[name]
    elif roll < 0.11 * rate:
        name = f"{name[0]}."
    elif roll < 0.145 * rate:
        name = f"{name} {rng.choice('ABCDEFGHJKLMPRSTW')}."
    elif roll < 0.165 * rate:
        name = typo(name, rng)
    return name


def company_name(base: str, form: str, rng: Random, rate: float) -> str:
    """The company's name as entered: legal form in some variant or left out, `&` or `and`, typo, capitals."""
    name = base
    if rng.random() < 0.4 and " & " in name:
        name = name.replace(" & ", " and ")
    if rng.random() < 0.04 * rate:
        name = typo(name, rng)
    if rng.random() < 0.10:
        name = plain(name)
    if rng.random() < 0.78:
        comma = "," if rng.random() < 0.2 else ""
        name = f"{name}{comma} {rng.choice(LEGAL_VARIANTS[form])}"
    return letter_case(name, rng)
