"""JSON, as nearly all answers are."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from spine.core import jsontext
from spine.sources.decoders.decoding import Decoder


class JsonDecoder(Decoder):
    """One document of JSON, also of a lenient kind: what cannot be read costs a record and not the answer.

    Example:
        type: json
    """

    type: Literal["json"] = "json"
    packed: bool = Field(default=False, description="Whether it comes as a file of gzip or zip, as exports do")

    def parsed(self, body: bytes) -> Any:
        """The value."""
        return jsontext.parse(body)
