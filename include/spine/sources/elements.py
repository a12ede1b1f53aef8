"""XML as nested objects, within the bounds that JSON has. A document type, which could pull in anything, is refused."""

from __future__ import annotations

from typing import Any
from xml.parsers import expat

from spine.core import jsontext


def parsed(body: bytes) -> dict[str, Any]:
    """A document as an object with its root element: an element is an object of its attributes (`@name`) and elements, or its text alone.

    Raises ValueError for what is no XML, has a document type, or is beyond the bounds.
    """
    return _Building().of(body)


class _Building:
    """Builds objects from the parser's events, within the bounds that JSON has."""

    def __init__(self) -> None:
        self._root: dict[str, Any] = {}
        self._open: list[tuple[dict[str, Any], list[str]]] = [(self._root, [])]
        self._count = 0

    def of(self, body: bytes) -> dict[str, Any]:
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler, parser.EndElementHandler = self._start, self._end
        parser.CharacterDataHandler = self._text
        parser.StartDoctypeDeclHandler = self._refused
        try:
            parser.Parse(body, True)
        except expat.ExpatError as error:
            raise ValueError(f"no XML: {expat.ErrorString(error.code)}") from None
        return self._root

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._count += 1 + len(attributes)
        if self._count > jsontext.VALUES:
            raise ValueError(f"more than {jsontext.VALUES:,} values")
        if len(self._open) > jsontext.DEPTH:
            raise ValueError(f"nested more than {jsontext.DEPTH} levels deep")
        self._open.append(({f"@{key}": value for key, value in attributes.items()}, []))

    def _end(self, name: str) -> None:
        element, texts = self._open.pop()
        text = "".join(texts).strip()
        if element and text:
            element["#text"] = text
        value: Any = element or text or None
        outer = self._open[-1][0]
        if name not in outer:
            outer[name] = value
        elif isinstance(outer[name], list):
            outer[name].append(value)
        else:
            outer[name] = [outer[name], value]

    def _text(self, text: str) -> None:
        self._open[-1][1].append(text)

    @staticmethod
    def _refused(*_: Any) -> None:
        raise ValueError("a document type, which is not read")
