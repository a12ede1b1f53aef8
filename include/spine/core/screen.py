"""What reaches a terminal or a log. Values come from vendors, files and tenants: none of them may move a cursor, or turn a line around."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

# Control characters of C0 (but tab and newline), DEL and C1, marks that change the direction of writing, separators of lines, half pairs.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def clean(text: str) -> str:
    r"""The text with what a terminal would obey written as `\u001b`; the same JSON if it is JSON."""
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def say(text: str, *, err: bool = False, end: str = "\n") -> None:
    """Print plain text, cleaned; the one way besides `console`."""
    stream = sys.stderr if err else sys.stdout
    stream.write(clean(text) + end)
    stream.flush()


def console(**options: Any) -> Console:
    """A rich console that cleans what it prints; its own colours are no part of the text.

    Texts are no markup unless `markup` says so: a value with `[/x]` would end the command, one with `[link=…]` lead elsewhere.
    """
    from rich.console import Console, RenderableType
    from rich.segment import Segment

    class Cleaning(Console):
        def render(self, renderable: RenderableType, options: Any = None) -> Any:
            for segment in super().render(renderable, options):
                yield segment if segment.control else Segment(clean(segment.text), segment.style)

    return Cleaning(**{"markup": False, **options})


class CleanLogger(logging.LoggerAdapter[logging.Logger]):
    """A logger whose lines are cleaned once they are whole."""

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """As `logging.Logger.log`."""
        if self.isEnabledFor(level):
            text = clean(str(msg) % args if args else str(msg)).replace("\n", "\n  ")  # a second line cannot pass for one of the log's own
            super().log(level, "%s", text, **{"stacklevel": 2, **kwargs})

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Nothing is added."""
        return msg, kwargs


def logger(name: str) -> CleanLogger:
    """The logger of a module."""
    return CleanLogger(logging.getLogger(name), {})
