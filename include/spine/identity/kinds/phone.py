"""Telephone numbers: the last ten digits, so that national and international spellings agree."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spine.identity.attribute import Array, AttributeKind
from spine.identity.blocking.cuttings import Cutting, Rule, of_part
from spine.identity.blocking.cuttings import whole as whole_text
from spine.identity.comparing import texts
from spine.identity.comparing.plan import Comparison, Plan
from spine.identity.comparing.texts import Codes, Ends, Texts, derive
from spine.identity.composites import person_name
from spine.identity.kinds import organization
from spine.identity.standardize.columns import Function, bytes_of, encoded
from spine.identity.standardize.text import MAX_LENGTH, fold

_NO_DIGITS = re.compile(r"\D+")
# What follows a number to reach one desk behind it, in the words of several languages and as RFC 3966 and dial strings write it; and
# another number that follows the first one.
_EXTENSION_MARK = re.compile("[^0-9 ()+./-]")
_EXTENSION = re.compile(
    r"(?:;?\s*ext?(?:ension|n)?|x|#|\*|,|;|/\s*/|(?<![a-z])(?:int|interno|intern|anexo|anx|dw|durchwahl|durchw|klappe|kl|nst|nebenstelle|poste|pst|p|"
    r"ramal|rml|wew|wewn|wewnetrzny|linka|kl|mellek|m|toestel|tst|tl|ankn|anknytning|lokal|vn|dahili|dah|dob|dobavochnyi|vn|vnutr|naisen|"
    r"or|oder|ou|o|und|and)\b|naisen|\u5185\u7ebf|\u5185\u7dda|\u5206\u673a|\u8f6c|\u8f49|\ub0b4\uc120|\u062f\u0627\u062e\u0644\u064a)"
    r"[\s.:=]*-?\s*\d.*\Z"
)
_SECOND = re.compile(r"\s*[/|]\s*(?=(?:\D*\d){6})")
_FEWEST = 6  # digits of a number
_SCIENTIFIC = re.compile(r"^\s*\d(?:[.,]\d+)?e\+?\d+\s*\Z")
_POINT_ZERO = re.compile(r"^(\s*\+?\d{6,})[.,]0+\s*\Z")
PHONE_LEVELS = ("same number", "same last seven digits", "one digit off", "different number")


_PLAIN_BYTES: Array = np.isin(np.arange(256), list(b"0123456789 ()+.-\t"))


def phone(text: str | None) -> str | None:
    """The last ten digits at most, so that international and national spellings agree; fewer than six, or one digit repeated, is none."""
    digits = _NO_DIGITS.sub("", _main_number(text)) if text else ""
    digits = digits.removeprefix("00")
    if len(digits) < _FEWEST or len(set(digits[-7:])) <= 2 or digits.endswith(("1234567", "12345678", "123456789", "0000000")):
        return None
    return digits[-10:]


def _main_number(text: str) -> str:
    """A number as it was written, without what follows it; nothing if a spreadsheet has rounded it (`4.91511E+12`)."""
    text = text[:MAX_LENGTH]
    if _EXTENSION_MARK.search(text):
        text = fold(text)
        text = "" if _SCIENTIFIC.match(text) else _kept(_EXTENSION, text)
    text = _kept(_SECOND, text) if "/" in text or "|" in text else text
    return _POINT_ZERO.sub(r"\1", text) if "." in text or "," in text else text


def _kept(cut: re.Pattern[str], text: str) -> str:
    """What comes before a cut if that is a number by itself, otherwise all."""
    before = cut.split(text, maxsplit=1)[0]
    return before if len(_NO_DIGITS.sub("", before)) >= _FEWEST else text


def phones(values: pa.Array) -> pa.DictionaryArray:
    """`phone`, which is called only for numbers that are not plain: ten digits or more with nothing but
    spaces, brackets and dashes between them, unlike a placeholder."""
    bytes_, bounds = bytes_of(values)
    is_digit = (bytes_ >= ord("0")) & (bytes_ <= ord("9"))
    digits, ends = bytes_[is_digit], np.concatenate([[0], np.cumsum(is_digit)])[bounds]
    count = np.diff(ends)
    plain = count >= 10
    odd = np.flatnonzero(~_PLAIN_BYTES[bytes_])
    plain[np.searchsorted(bounds, odd, "right") - 1] = False
    points: Array = np.flatnonzero(bytes_ == ord("."))
    of_points: Array = np.searchsorted(bounds, points, "right") - 1
    plain[of_points[bounds[of_points + 1] - points <= 3]] = False  # what may be the `.0` of a spreadsheet
    rows = np.flatnonzero(plain)
    padded = np.concatenate([digits, np.zeros(10, dtype=np.uint8)])  # so that there is a window even without digits
    last = np.lib.stride_tricks.sliding_window_view(padded, 10)[ends[1:][rows] - 10]
    kinds = np.bitwise_count(np.bitwise_or.reduce(1 << (last[:, 3:] - ord("0")).astype(np.uint16), axis=1))
    rising = (last[:, -2] == last[:, -1] - 1) & (last[:, -3] == last[:, -1] - 2)
    # A leading 00 is dropped, which the last ten of twelve digits do not notice.
    sure = (kinds > 2) & ~rising & ((count[rows] >= 12) | (digits[ends[rows]] != ord("0")))
    plain[rows[~sure]] = False
    found: Array = np.zeros((len(values), 10), dtype=np.uint8)
    found[rows] = last
    offsets = pa.py_buffer(np.arange(0, found.size + 1, 10, dtype=np.int32))
    texts = pa.Array.from_buffers(pa.string(), len(values), [None, offsets, pa.py_buffer(found)])
    return encoded(texts, pc.and_(pa.array(plain), values.is_valid()), [values], phone)


class Phones:
    """What is derived from one number alone."""

    def __init__(self, values: Sequence[str]) -> None:
        numbers = pa.array(values, pa.string())
        self.whole, self.tail = Texts(numbers), Texts(pc.utf8_slice_codeunits(numbers, -7))
        self.digits = np.asarray(pc.utf8_length(numbers), dtype=np.int64)
        self.ends = Ends(self.whole, 3)


def compare(values: Sequence[str], left: Codes, right: Codes, _: Mapping[str, float]) -> Codes:
    """Levels of PHONE_LEVELS."""
    phones = derive(values, Phones)
    digits, tail = phones.digits, phones.tail.codes
    same = phones.whole.codes[left] == phones.whole.codes[right]
    same_tail = (tail[left] == tail[right]) & (digits[left] >= 7) & (digits[right] >= 7)
    cut = same_tail & (digits[left] != digits[right])
    close = phones.ends.one_slip(left, right, ~same_tail)
    return np.select([same | cut, same_tail, close], [1, 2, 3], default=4)


def _tail(value: str) -> list[str]:
    return [value[-7:]]


def of_tail(values: Sequence[str]) -> Array:
    """The last seven digits."""
    return of_part(derive(values, Phones).tail, whole_text)


TAIL = Cutting("last seven digits", _tail, 1, of_tail)


class Phone(AttributeKind):
    """Telephone numbers in any notation; extensions are dropped, placeholders are none."""

    name = "phone"
    rank = 30
    example = "+44 (0)20 7946 0018"
    shared = True
    comparison = Comparison(
        "", "", PHONE_LEVELS, compare, (0.6, 0.01, 0.05, 0.34), (0.0001, 0.00002, 0.0001, 0.99978), None, {1: texts.whole}
    )

    def standardize(self, text: str | None) -> str | None:
        """The last ten digits at most."""
        return phone(text)

    def column(self, kinds: Sequence[str], values: Sequence[pa.Array], function: Function) -> pa.DictionaryArray:
        """Plain numbers, which are nearly all, are found and written without a call per value."""
        return phones(*values)

    def rules(self, plan: Plan) -> Iterator[Rule]:
        """The same last seven digits; those of too many records (a switchboard) only with a word of the name."""
        split = person_name.word_part(plan) or organization.word_part(plan)
        for feature in plan.of_kind(self.name):
            yield Rule(f"same {feature.name}", (TAIL.part(feature.name, feature.name),), split)


KIND = Phone()
