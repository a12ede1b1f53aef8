"""Link headers (RFC 8288): several links, several relations for each, names in any case."""

from __future__ import annotations

import re

# Nothing is tried a second way (`*+`, `++`), so that any header takes linear time.
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
