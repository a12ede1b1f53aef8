"""Link headers (RFC 8288): several links, several relations for each, names in any case."""

from __future__ import annotations

import re
from collections.abc import Collection
from urllib.parse import unquote_plus, urlsplit, urlunsplit

# Possessive, since a header is a vendor's: nothing is looked at twice, however it is written.
_LINK = re.compile(r'<([^<>]*+)>((?:\s*+;\s*+[^\s=;,<>"]++\s*+(?:=\s*+(?:"(?:[^"\\]|\\.)*+"|[^;,"\s]*+))?+)*+)')
_PARAMETER = re.compile(r';\s*+([^\s=;,]++)\s*+(?:=\s*+(?:"((?:[^"\\]|\\.)*+)"|([^;,"\s]*+)))?+')


def target(header: str, relation: str) -> str | None:
    """The first target of a Link header that has this relation, as it is written there; None if there is none."""
    for link in _LINK.finditer(header):
        if relation.lower() in _relations(link[2]):
            return link[1].strip()
    return None


def _relations(parameters: str) -> list[str]:
    for name, quoted, plain in _PARAMETER.findall(parameters):
        if name.lower() in ("rel", "rel*"):
            return str(quoted or plain).lower().split()  # a second `rel` does not count
    return []


def without_values(link: str, values: Collection[str]) -> str:
    """A link without the query parameters that have one of these values; everything else of it as it was written."""
    parts = urlsplit(link)
    kept = [pair for pair in parts.query.split("&") if unquote_plus(pair.partition("=")[2]) not in values]
    return urlunsplit(parts._replace(query="&".join(kept)))
