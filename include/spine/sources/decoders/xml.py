"""XML as nested objects, so that paths reach into it as into JSON."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from spine.sources import elements
from spine.sources.decoders.decoding import Decoder


class XmlDecoder(Decoder):
    """A document of XML: an element is an object of its attributes (`@name`) and elements, or its text alone; repeated ones are a list.

    An element's text beside others is `#text`, prefixes of names stay. A document type, which could pull in anything, is refused.

    Example:
        type: xml
    """

    type: Literal["xml"] = "xml"
    accepts: ClassVar[str] = "application/xml, text/xml, */*;q=0.1"

    def parsed(self, body: bytes) -> Any:
        """The document as an object with its root element. Raises ValueError."""
        return elements.parsed(body)
