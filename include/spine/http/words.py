"""What a source says of a refused request, in its own words, as far as a message may quote them: no secret, no address, no page."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from spine.core import jsontext
from spine.core.masking import HIDDEN as _HIDDEN
from spine.core.masking import hidden

LONGEST = 300
_LOOKED_AT = 2000
_NAMES = (
    "errorCode", "code", "category", "policyName", "title", "error", "message", "error_description", "detail", "details", "description",
)  # fmt: skip
_MAIL = re.compile(r"[^\s@'\"<>]+(?:@|%40)[^\s@'\"<>]+")
_LABEL = r"(?i)\b(bearer|basic|token|secret|password|passwd|api[-_ ]?key|session(?:[-_ ]?id)?)\b"
_LABELLED = re.compile(_LABEL + r"(\s*[:=]?\s*)['\"]?(?=[^\s'\",;]*[0-9])[^\s'\",;]{6,}")
_OPAQUE = re.compile(r"(?=[^\s'\"]*[0-9])(?=[^\s'\"]*[A-Za-z])[A-Za-z0-9+_.!~=-]{24,}")
_TITLE = re.compile(r"<title[^>]*>([^<]{1,200})", re.IGNORECASE)


def said(body: bytes, secrets: Iterable[str] = ()) -> str:
    """The words of an answer in one line; empty if there are none. Nothing of `secrets` and nothing that looks like one is in it."""
    text = " ".join(dict.fromkeys(_words(body[:65_536])))
    return clean(text, secrets)


def clean(text: str, secrets: Iterable[str] = ()) -> str:
    """Words of a source in one line, without `secrets`, what looks like one, and addresses of persons."""
    text = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    text = hidden(text, secrets)
    if len(text) > _LOOKED_AT:
        text = text[:_LOOKED_AT].rpartition(" ")[0]  # the patterns below cost the square of it; no half of a long word stays
    text = _LABELLED.sub(rf"\1\2{_HIDDEN}", text)
    text = _OPAQUE.sub(_HIDDEN, _MAIL.sub(_HIDDEN, text))
    return text if len(text) <= LONGEST else text[:LONGEST] + _HIDDEN


def _words(body: bytes) -> Iterator[str]:
    try:
        yield from _texts(jsontext.parse(body))
    except ValueError:
        text = body.decode("utf-8", "replace").strip()
        title = _TITLE.search(text)
        if title:
            yield title[1]
        elif not text.startswith("<"):
            yield text.partition("\n")[0]


def _texts(value: Any, depth: int = 0) -> Iterator[str]:
    """The texts at the names under which sources say what is wrong; nothing else, since an answer may echo a record."""
    if depth > 4:
        return
    if isinstance(value, list):
        for item in value[:3]:
            yield from _texts(item, depth + 1)
    elif isinstance(value, dict):
        for name in _NAMES:
            found = value.get(name)
            if isinstance(found, (str, int)) and not isinstance(found, bool):
                yield str(found)
            else:
                yield from _texts(found, depth + 1)
        for name in ("errors", "fault"):
            yield from _texts(value.get(name), depth + 1)
