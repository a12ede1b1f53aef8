"""Words for a Singer tap."""

from __future__ import annotations

import re
from typing import Any

from pydantic import Field, model_validator

from spine.core.declarations import Strict, refuse

_PINNED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:\[[A-Za-z0-9,._-]+\])?==[A-Za-z0-9][A-Za-z0-9.!+_-]*")


class Tap(Strict):
    """A program that speaks Singer, which a source of kind `singer` runs for each stream. `{name}` in `config` is the Connection's.

    Its requirements are installed once into an environment of its own. Its STATE is kept in place of a cursor, for streams that have one;
    their `cursor` orders versions. A tap is code that the operator has chosen: it calls whom it will.

    Example:
        executable: tap-acme
        requirements: [tap-acme==1.4.2]
        config: {api_key: "{password}", start_date: "2020-01-01T00:00:00Z"}
    """

    executable: str = Field(description="The program: one of its environment, on the path, or with its whole path")
    requirements: tuple[str, ...] = Field(default=(), description="What is installed for it, each as name==version")
    config: dict[str, Any] = Field(default_factory=dict, description="Its configuration, which it reads from a file")
    discover: bool = Field(default=True, description="Whether it tells its catalog, in which the stream is selected")

    @model_validator(mode="after")
    def _are_pinned(self) -> Tap:
        refuse(type(self), [
            (("requirements", number), f"{said!r} names no exact version: write name==version")
            for number, said in enumerate(self.requirements) if not _PINNED.fullmatch(said)
        ])  # fmt: skip
        return self
