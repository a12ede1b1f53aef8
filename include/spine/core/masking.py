"""The forms in which a secret may turn up in a text: as it is, in a URL, in base64, in JSON."""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable
from urllib.parse import quote, quote_plus, unquote, unquote_plus

HIDDEN = "…"


def forms(secret: str) -> set[str]:
    """Every notation of a secret that a library or a vendor may write it in; empty for an empty one."""
    if not secret:
        return set()
    raw = secret.encode("utf-8", "surrogatepass")
    encoded = {b64encode(raw).decode(), urlsafe_b64encode(raw).decode()}
    quoted = {quote(raw), quote(raw, safe=""), quote_plus(raw)}
    found = {secret, unquote(secret), unquote_plus(secret), *quoted, *encoded, *(text.rstrip("=") for text in encoded)}
    found |= {text.replace("%", "%25") for text in quoted}  # quoted once more, inside another address
    found |= {json.dumps(secret, ensure_ascii=plain)[1:-1] for plain in (True, False)}
    found |= {lower for text in quoted if (lower := _lower_escapes(text)) != text}
    return {text for text in found if text}


def hidden(text: str, secrets: Iterable[str]) -> str:
    """The text without any form of these secrets; a form that holds another goes first."""
    for form in sorted({form for secret in secrets for form in forms(secret)}, key=len, reverse=True):
        text = text.replace(form, HIDDEN)
    return text


def _lower_escapes(quoted: str) -> str:
    """`%2f` in place of `%2F`."""
    first, *others = quoted.split("%")
    return first + "".join(f"%{part[:2].lower()}{part[2:]}" for part in others)
