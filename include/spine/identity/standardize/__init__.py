"""Raw attribute texts -> comparable texts. Pure functions of one value; placeholders and values without content become None.

A composite (name, address) is one text whose parts are separated by `SEP`, so that a pair of values is compared once as a whole.
"""

from __future__ import annotations

import html
import math
import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

from spine.identity.standardize import vocabulary as words

SEP = "\x1f"
MAX_LENGTH = 400
CACHED = 100_000  # names, towns and codes come again and again
_WORD = re.compile(r"[^\W_]+", re.UNICODE)
_APOSTROPHE = re.compile("['\u2019`\u00b4]")
_BRACKETS = re.compile(r"\([^)]*\)")
_ISO_DATE = re.compile(r"^([0-9a-z]{4})-([0-9a-z]{1,2})(?:-([0-9a-z]{1,2}))?(?:[t ].*)?$")
_DAY_FIRST = re.compile(r"^(\d{1,2})[./-](\d{1,2})[./-](\d{4}|\d{2})(?:[t ].*)?$")
_DAY_AND_NAME = re.compile(r"^(\d{1,2})(?:st|nd|rd|th)?[\s.,-]+([^\W\d_]{3,})[\s.,-]+(\d{4}|\d{2})$")
_NAME_AND_DAY = re.compile(r"^([^\W\d_]{3,})[\s.,-]+(\d{1,2})(?:st|nd|rd|th)?[\s.,-]+(\d{4}|\d{2})$")
_FIRST_YEAR = 30  # of two-digit years: 30 is 1930, 29 is 2029
_ZIP_IN_STREET = re.compile(r"\b\d{5}(?:-\d{4})?$")
_ZIP_WITH_PLUS = re.compile(r"\d{5}-\d{4}")
_LOOSE_WORD = re.compile(r"\d+(?:\.\d+)+|[^\W_]+", re.UNICODE)
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}\b)")
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]{3,}")
_DURATION = re.compile(r"^(\d{1,3})\s*(?:m|min|:)\s*([0-5]?\d)\s*(?:s|sec)?\.?$")
_AMOUNT = re.compile(r"-?\d{1,3}(?:[ ']\d{3})+(?:[.,]\d+)?|-?\d[\d.,]*\d|-?\.?\d")
_NO_DIGITS = re.compile(r"\D+")
_EXTENSION_MARK = re.compile("[xX#]")
_EXTENSION = re.compile(r"(?i)\s*(?:ext|x|#)\.?\s*\d+\s*$")
_NUMBER = re.compile(r"^\d+[a-z]?$")
_DIGIT = re.compile(r"\d")
_NO_HOSTS = words.PLACEHOLDER_HOSTS - {"example.com"}


def fold(text: str) -> str:
    """`text` in lower case without accents, at most MAX_LENGTH characters."""
    text = text[:MAX_LENGTH]
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text.replace("ß", "ss"))
    return "".join(char for char in decomposed if not unicodedata.combining(char)).lower()


def tokens(text: str | None) -> list[str]:
    """The words of `text`, folded; apostrophes join (`o'neil` -> `oneil`), everything else separates."""
    return _WORD.findall(_APOSTROPHE.sub("", fold(text))) if text else []


def _content(text: str | None) -> str:
    """`text` folded, `` if it is a placeholder or has no words."""
    folded = fold(text).strip() if text else ""
    if folded in words.PLACEHOLDERS or not _WORD.search(folded) or (len(folded) > 2 and folded == folded[0] * len(folded)):
        return ""
    return folded


def _is_placeholder(text: str) -> bool:
    return not _content(text)


def name_words(text: str | None) -> list[str]:
    """Words of a person's name without titles; a hyphenated name gives its parts."""
    if not text or _is_placeholder(text):
        return []
    found = tokens(_BRACKETS.sub(" ", text) if "(" in text else text)
    kept = [word for word in found if word not in words.TITLES]
    return kept or found


@lru_cache(maxsize=CACHED)
def _name(text: str | None) -> tuple[str, ...]:
    return tuple(name_words(text))


@lru_cache(maxsize=CACHED)
def place(text: str | None) -> str:
    """Words of a town's or region's name, `` if there are none."""
    return "" if not text or _is_placeholder(text) else " ".join(tokens(text))


def person_name(forename: str | None, surname: str | None, full_name: str | None = None) -> str | None:
    """`<forename words>SEP<surname words>`; a full name fills what is missing, a surname kept in the forename moves to its place."""
    first, last = _name(forename), _name(surname)
    if full_name and not first and not last:
        before, comma, after = full_name.partition(",")
        first, last = (_name(after), _name(before)) if comma else (_name(full_name), ())
    if first and last and len(first) > len(last) and first[-len(last) :] == last:
        first = first[: -len(last)]
    if len(first) > 1 and not last:
        cut = len(first) - 1
        while cut > 1 and first[cut - 1] in words.PARTICLES:
            cut -= 1
        first, last = first[:cut], first[cut:]
    return f"{' '.join(first)}{SEP}{' '.join(last)}" if first or last else None


def date(text: str | None) -> str | None:
    """`YYYYMMDD` with `00` for an unknown month or day; misread digits stay, so that they can be compared. Placeholders give None.

    Of `3/4/1990` the day is taken to come first, of `3/14/1990` the month.
    """
    folded = fold(text).strip() if text else ""
    if found := _ISO_DATE.match(folded):
        digits = found[1] + found[2].zfill(2) + (found[3] or "00").zfill(2)
    elif found := _DAY_FIRST.match(folded):
        day, month = (found[1], found[2]) if int(found[2]) <= 12 else (found[2], found[1])
        digits = _year(found[3]) + month.zfill(2) + day.zfill(2)
    elif found := _DAY_AND_NAME.match(folded):
        digits = _spelled(found[3], found[2], found[1])
    elif found := _NAME_AND_DAY.match(folded):
        digits = _spelled(found[3], found[1], found[2])
    elif re.fullmatch(r"\d{4}", folded):
        digits = folded + "0000"
    elif re.fullmatch(r"\d{8}", folded):
        digits = folded
    else:
        return None
    return None if digits in words.PLACEHOLDER_DATES or digits.startswith("0000") else digits


def _year(digits: str) -> str:
    return digits if len(digits) == 4 else f"{'19' if int(digits) >= _FIRST_YEAR else '20'}{digits}"


def _spelled(year: str, month: str, day: str) -> str:
    """A date whose month is a word, `0000` if the word is none."""
    number = words.MONTHS.get(month[:3]) or words.MONTHS.get(month)
    return f"{_year(year)}{number}{day.zfill(2)}" if number else "0000"


def email(text: str | None) -> str | None:
    """The address in lower case without `+tag`; Gmail's dots are dropped, since it ignores them."""
    folded = fold(text).strip() if text else ""
    local, at, domain = folded.rpartition("@")
    local = local.split("+")[0].replace("@", ".")
    if not at or not local or "." not in domain or folded in words.PLACEHOLDER_MAILS or domain in _NO_HOSTS:
        return None
    if domain in {"gmail.com", "googlemail.com"}:
        local, domain = local.replace(".", ""), "gmail.com"
    if local in words.PLACEHOLDERS:
        return None
    return f"{local}@{domain}"


def is_role_mail(address: str) -> bool:
    """Whether a standardised address belongs to a function rather than a person (`info@`, `sales.uk@`)."""
    return any(part in words.ROLE_MAILBOXES for part in re.split(r"[._-]", address.split("@")[0])[:1])


def phone(text: str | None) -> str | None:
    """The last ten digits at most, so that international and national spellings agree; fewer than six, or one digit repeated, is none."""
    digits = _NO_DIGITS.sub("", text if text.isascii() and not _EXTENSION_MARK.search(text) else _EXTENSION.split(text)[0]) if text else ""
    digits = digits.removeprefix("00")
    if len(digits) < 6 or len(set(digits[-7:])) <= 2 or digits.endswith(("1234567", "12345678", "123456789", "0000000")):
        return None
    return digits[-10:]


@lru_cache(maxsize=CACHED)
def _road(line: str) -> tuple[str, ...]:
    """Street words of an address line without number and postcode; none of one with digits, or of a long one."""
    folded = fold(line)
    if _DIGIT.search(folded) or max(len(line), len(folded)) > MAX_LENGTH // 2:
        return ()
    found = [words.STREET_WORDS.get(word, word) for word in tokens(folded)]
    return tuple(word for word in found if word not in words.STREET_FILLERS) or tuple(found)


def street(text: str | None) -> tuple[str, Sequence[str], str]:
    """House number, street words and a postcode found at the end, of an address line."""
    if not text:
        return "", (), ""
    number, _, line = text.partition(" ")
    if not number.isdigit():
        line, _, number = text.rpartition(" ")
    if number.isdigit() and number.isascii() and len(number) < 5 and (road := _road(line)):
        return number, road, ""  # most lines are so plain, and have their road in common with many others
    return _any_street(text)


def _any_street(text: str) -> tuple[str, Sequence[str], str]:
    folded = _content(text)
    zipped = _ZIP_IN_STREET.search(folded)
    found = [words.STREET_WORDS.get(word, word) for word in tokens(folded[: zipped.start()] if zipped and zipped.start() > 0 else folded)]
    number = next((word for word in found if _NUMBER.match(word)), "")
    kept = [word for word in found if word != number and word not in words.STREET_FILLERS]
    return number, kept or [word for word in found if word != number], zipped.group(0)[:5] if zipped else ""


@lru_cache(maxsize=CACHED)
def postcode(text: str | None) -> str:
    """The code without separators, `` if there is none; the `+4` of US codes is dropped."""
    folded = _content(text)
    if _ZIP_WITH_PLUS.fullmatch(folded):
        folded = folded[:5]
    joined = folded.replace(" ", "")
    return joined if joined.isalnum() else "".join(char for char in joined if char.isalnum())


@lru_cache(maxsize=CACHED)
def postcode_district(code: str) -> str:
    """The coarser part: the outward code of a British code, the first three characters of others."""
    return code[:-3] if re.fullmatch(r"[a-z]{1,2}\w{1,2}\d[a-z0-9]{2}", code) and len(code) >= 5 else code[:3]


def address(line: str | None, number: str | None, code: str | None, town: str | None, region: str | None) -> str | None:
    """`<house number>SEP<street words>SEP<postcode>SEP<town>`, parts may be empty; None if all are."""
    found_number, street_words, found_code = street(line)
    digits = " ".join(tokens(number)) or found_number
    parts = [digits, " ".join(street_words), postcode(code) or found_code, place(town) or place(region)]
    return SEP.join(parts) if any(parts) else None


def organization(text: str | None) -> str | None:
    """Words of an organisation's name in order, abbreviations written out, legal forms and fillers dropped (unless nothing is left)."""
    if not text or _is_placeholder(text):
        return None
    found = tokens(text.replace("&", " and ").replace(".", ""))
    spelled = [words.ORGANIZATION_WORDS.get(word, word) for word in found]
    kept = [word for word in spelled if word not in words.COMPANY_FORMS]
    return " ".join(kept or spelled) or None


def host(text: str | None) -> str | None:
    """The host name of a URL without `www.`; hosts that many share are none."""
    folded = fold(text).strip() if text else ""
    name = re.sub(r"^[a-z]+://", "", folded).split("/")[0].split("?")[0].split(":")[0].removeprefix("www.")
    return None if "." not in name or name in words.PLACEHOLDER_HOSTS or name in words.FREE_MAIL else name


def plain(text: str | None) -> str | None:
    """Words of any text, folded."""
    return None if not text or _is_placeholder(text) else " ".join(tokens(text)) or None


def free_text(text: str | None) -> str | None:
    """Words of a title, product name or long text in order; decimals stay whole, unspaced scripts are cut into pairs of characters."""
    if not text or _is_placeholder(text):
        return None
    plainer = html.unescape(text[:MAX_LENGTH]) if "&" in text else text
    found = _LOOSE_WORD.findall(_THOUSANDS.sub("", _APOSTROPHE.sub("", fold(plainer))))
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


def number(text: str | None) -> str | None:
    """The first number without currency and unit, in either notation (`$1,299.00`, `1.299,00 €`); minutes and seconds become seconds."""
    folded = fold(text).strip() if text else ""
    if spoken := _DURATION.match(folded):
        return str(int(spoken[1]) * 60 + int(spoken[2]))
    found = _AMOUNT.search(folded)
    if not found:
        return None
    digits = re.sub("[ ']", "", found[0])
    if "," in digits and "." in digits:
        grouping = "," if digits.rindex(".") > digits.rindex(",") else "."
        digits = digits.replace(grouping, "").replace(",", ".")
    elif digits.count(",") == 1 and not re.search(r",\d{3}$", digits):
        digits = digits.replace(",", ".")
    elif digits.count(".") > 1:
        digits = digits.replace(".", "")
    value = float(digits.replace(",", ""))
    if not math.isfinite(value):
        return None
    return str(int(value)) if value.is_integer() else repr(value)


def identifier(text: str | None) -> str | None:
    """A national or other id: letters and digits only."""
    return None if not text or _is_placeholder(text) else "".join(tokens(text)) or None
