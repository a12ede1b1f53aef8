"""What a message says, from its bytes: whatever is broken in it, what is whole is told. No I/O.

The standard library's `email` reads it, by its lenient policy, which no message breaks, and addresses by the strict one; where that gives
up, the text is taken as it stands.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.header import decode_header
from email.message import Message
from email.parser import BytesHeaderParser
from email.utils import parsedate_to_datetime
from html import unescape
from typing import Any

from spine.core import clock

LETTERS = 200_000  # of a text that is kept: a letter and what it answers; more are machines' reports
_HEADER = 100_000  # letters of one header that are read
_STRICT = 10_000  # of one that the standard library may take apart: it takes long for what is longer
_PARTS, _DEPTH = 1000, 50  # of one message
_IDS = re.compile(r"<[^<>\s]{1,998}>")  # the longest line of a header, RFC 5322 2.1.1
_ADDRESS = re.compile(r"[^\s<>,;:\"()@]{1,200}@[^\s<>,;:\"()@]{1,255}")
_TAGS = re.compile(r"(<!--|-->|<[^<>]*>)")
_TAG_NAME = re.compile(r"</?[A-Za-z0-9]+")
_HIDDEN = frozenset({"<script", "<style", "<head", "<title"})
_BREAKS = frozenset({"<br", "<p", "<div", "<tr", "<li", "<h1", "<h2", "<h3", "<table", "<blockquote"})
_ODD = (ValueError, LookupError, TypeError, AttributeError, AssertionError, NotImplementedError, RecursionError)


class _Bounded(policy.Compat32):
    """Headers of bounded length, each part's too: the standard library takes the square of time for one with many parameters."""

    def header_source_parse(self, sourcelines: list[str]) -> tuple[str, str]:
        """Name and value of a header."""
        name, value = super().header_source_parse(sourcelines)
        return name, value[:_HEADER]


_BOUNDED = _Bounded()


def described(raw: bytes, *, whole: bool = True) -> dict[str, Any]:
    """What a message says. Not `whole`: these are its headers alone, and nothing is told of text and attachments."""
    message = _parsed(raw)
    references = _ids(message, "references") or _ids(message, "in-reply-to")
    own = next(iter(_ids(message, "message-id")), _text(message, "message-id"))
    found: dict[str, Any] = {
        "message_id": own,
        "in_reply_to": next(iter(_ids(message, "in-reply-to")), None),
        "thread_id": next(iter(references), own),
        "subject": _text(message, "subject"),
        "date": _date(message),
        "from": next(iter(_addresses(message, "from")), None),
        **{name: _addresses(message, name.replace("_", "-")) for name in ("reply_to", "to", "cc", "bcc")},
        "list_id": _text(message, "list-id"),
        "auto_submitted": _text(message, "auto-submitted"),
    }
    found["recipient"] = next((one["email"] for one in (*found["to"], *found["cc"]) if one["email"]), None)
    return found | (_content(message) if whole else {})


def _parsed(raw: bytes) -> Message:
    try:
        return message_from_bytes(raw, policy=_BOUNDED)
    except RecursionError:  # more parts in each other than anybody sends: all of them are one
        return BytesHeaderParser(policy=_BOUNDED).parsebytes(raw)


def _raw(message: Message, name: str) -> str | None:
    """A header as it was sent, on one line; bytes that are no ASCII as UTF-8 or Latin-1."""
    for found, value in message.raw_items():
        if found.lower() == name:
            return re.sub(r"[\r\n]+", "", _clean(str(value)[:_HEADER]))
    return None


def _text(message: Message, name: str) -> str | None:
    """A header's text, decoded; None where it is not there or empty."""
    raw = _raw(message, name)
    return None if raw is None else _words(raw)


def _words(raw: str) -> str | None:
    """A text whose words may be encoded (RFC 2047)."""
    try:
        words = decode_header(raw)
    except _ODD:
        return raw.strip() or None
    return _clean("".join(word if isinstance(word, str) else _decoded(word, charset) for word, charset in words)).strip() or None


def _ids(message: Message, name: str) -> list[str]:
    return _IDS.findall(_raw(message, name) or "")


def _date(message: Message) -> str | None:
    """When its sender says that it was written; None of what is no time. One without a zone is in UTC."""
    try:
        return clock.to_text(parsedate_to_datetime(_raw(message, "date") or ""))
    except (*_ODD, OverflowError):
        return None


def _addresses(message: Message, name: str) -> list[dict[str, str | None]]:
    """Names and addresses of a header; what is no address is a name."""
    raw = _raw(message, name)
    if not raw:
        return []
    try:
        if len(raw) > _STRICT:
            raise ValueError("long")
        pairs = [(one.display_name, one.addr_spec) for one in policy.default.header_factory(name, raw).addresses]
    except _ODD:
        pairs = [("", address) for address in _ADDRESS.findall(raw)] or [(raw, "")]
    found = [(_clean(who).strip(), _clean(address).strip("<> ")) for who, address in pairs]
    people = [(who or ("" if "@" in address else address), address if "@" in address else None) for who, address in found]
    return [{"name": who or None, "email": address} for who, address in people if who or address]


def _content(message: Message) -> dict[str, Any]:
    """The text, and what hangs on it."""
    plain, html = None, None
    attachments: list[dict[str, Any]] = []
    for part in _leaves(message):
        kind, named = part.get_content_type(), _filename(part)
        text = kind in ("text/plain", "text/html") and named is None and _disposition(part) != "attachment"
        if text and kind == "text/plain":
            plain = _letters(part) if plain is None else f"{plain}\n{_letters(part)}"
        elif text:
            html = html or _letters(part)
        else:
            attachments.append(_attachment(part, kind, named))
    said = plain if plain is not None and plain.strip() else _seen(html) if html else plain
    cut = said is not None and len(said) > LETTERS
    return {"text": said[:LETTERS] if said is not None else None, "text_cut": cut, "attachments": attachments}


def _leaves(message: Message) -> Iterator[Any]:
    """The parts that hold something, a message that was sent along as one of them; of a bomb as many as a person sends."""
    waiting, count = [(message, 0)], 0
    while waiting and count < _PARTS:
        part, depth = waiting.pop()
        inner = part.get_payload() if part.is_multipart() and part.get_content_maintype() == "multipart" else None
        if isinstance(inner, list) and depth < _DEPTH:
            waiting += [(one, depth + 1) for one in reversed(inner) if isinstance(one, Message)]
        else:
            count += 1
            yield part


def _disposition(part: Message) -> str | None:
    try:
        return part.get_content_disposition()
    except _ODD:
        return None


def _filename(part: Message) -> str | None:
    """The name of an attachment, which many have not, without folders."""
    try:
        name = part.get_filename()
    except _ODD:
        return None
    found = _words(_clean(str(name))) if name else None
    return found.replace("\\", "/").rpartition("/")[2].strip() or None if found else None


def _attachment(part: Message, kind: str, name: str | None) -> dict[str, Any]:
    data = _bytes(part)
    size = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()} if data is not None else {"size": None, "sha256": None}
    return {"name": name, "type": kind, **size, "inline": _disposition(part) == "inline"}


def _bytes(part: Message) -> bytes | None:
    """What a part holds, decoded; None of what cannot be."""
    try:
        if part.is_multipart():
            return b"".join(one.as_bytes() for one in part.get_payload() if isinstance(one, Message))
        found = part.get_payload(decode=True)
    except (*_ODD, UnicodeError):
        return None
    return found if isinstance(found, bytes) else None


def _letters(part: Message) -> str:
    """The text of a part, whatever its charset is called."""
    return _clean(_decoded(_bytes(part) or b"", _charset(part))).replace("\r\n", "\n")


def _decoded(data: bytes, charset: str | None) -> str:
    """Bytes as the text of a charset; of one that nobody knows, or that it is not, as UTF-8 or Latin-1."""
    for name in (charset or "utf-8", "utf-8"):
        try:
            return data.decode(name)
        except (LookupError, ValueError, TypeError):
            continue
    return data.decode("latin-1")


def _charset(part: Message) -> str:
    try:
        return str(part.get_content_charset() or "utf-8")
    except _ODD:
        return "utf-8"


def _clean(text: str) -> str:
    """Without what no database takes: U+0000, and bytes that the parser kept as halves of pairs, which are read as UTF-8 or Latin-1."""
    text = text.replace("\0", "")
    if text.isascii():
        return text
    data = text.encode("utf-8", "surrogateescape" if _escaped(text) else "replace")
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _escaped(text: str) -> bool:
    """Whether all halves of pairs in a text stand for bytes."""
    return all("\udc80" <= one <= "\udcff" for one in text if "\ud800" <= one <= "\udfff")


def _seen(html: str) -> str:
    """The text that a person sees of HTML, in one pass: the standard library's parser takes the square of what is not closed."""
    found: list[str] = []
    until = ""  # what ends that of which nothing is seen
    for piece in _TAGS.split(html[: 10 * LETTERS]):
        name = _TAG_NAME.match(piece)
        tag = name[0].lower() if name else ""
        if until:
            until = "" if tag == until or piece == until else until
        elif piece == "<!--":
            until = "-->"
        elif tag in _HIDDEN:
            until = f"</{tag[1:]}"
        elif tag in _BREAKS:
            found.append("\n")
        elif not piece.startswith("<"):
            found.append(piece)
    lines = (" ".join(line.split()) for line in unescape("".join(found)).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
