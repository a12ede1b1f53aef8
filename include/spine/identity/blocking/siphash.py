"""The numbers of a few texts as `pandas.util.hash_array` gives them, without its import, which costs more than a whole question.

SipHash-2-4 (Aumasson and Bernstein 2012) under pandas' key, then splitmix64's mixing, as pandas does.
"""

from __future__ import annotations

from collections.abc import Iterable

_ALL = (1 << 64) - 1
_KEY = tuple(int.from_bytes(part, "little") for part in (b"01234567", b"89123456"))
_START = tuple(int.from_bytes(part, "big") for part in (b"somepseu", b"dorandom", b"lygenera", b"tedbytes"))
_State = tuple[int, int, int, int]


def numbers_of(texts: Iterable[str | None]) -> list[int]:
    """A number of 64 bits, without a sign, for each text."""
    return [_mixed(_siphash(str(text).encode())) for text in texts]


def _siphash(data: bytes) -> int:
    state: _State = (_START[0] ^ _KEY[0], _START[1] ^ _KEY[1], _START[2] ^ _KEY[0], _START[3] ^ _KEY[1])
    whole = len(data) - len(data) % 8
    last = data[whole:].ljust(7, b"\0") + bytes([len(data) & 255])
    for at in range(0, whole, 8):
        state = _absorb(state, int.from_bytes(data[at : at + 8], "little"))
    state = _absorb(state, int.from_bytes(last, "little"))
    state = (state[0], state[1], state[2] ^ 255, state[3])
    for _ in range(4):
        state = _round(state)
    return state[0] ^ state[1] ^ state[2] ^ state[3]


def _absorb(state: _State, word: int) -> _State:
    a, b, c, d = _round(_round((state[0], state[1], state[2], state[3] ^ word)))
    return a ^ word, b, c, d


def _round(state: _State) -> _State:
    a, b, c, d = state
    a = (a + b) & _ALL
    c = (c + d) & _ALL
    b, d = _turned(b, 13) ^ a, _turned(d, 16) ^ c
    a = (_turned(a, 32) + d) & _ALL
    c = (c + b) & _ALL
    d, b = _turned(d, 21) ^ a, _turned(b, 17) ^ c
    return a, b, _turned(c, 32), d


def _turned(word: int, bits: int) -> int:
    return ((word << bits) | (word >> (64 - bits))) & _ALL


def _mixed(number: int) -> int:
    number ^= number >> 30
    number = number * 0xBF58476D1CE4E5B9 & _ALL
    number ^= number >> 27
    number = number * 0x94D049BB133111EB & _ALL
    return number ^ (number >> 31)
