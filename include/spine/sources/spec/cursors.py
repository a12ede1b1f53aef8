"""Words for what changed since the last read: the field that orders changes, and how a source is asked for them."""

from __future__ import annotations

from datetime import timedelta

from spine.core.declarations import Strict
from spine.core.texts import Duration, FieldPath


class Cursor(Strict):
    """The field that orders changes. `lookback` is read again on each run, for records committed late.

    `formerly` is the field of cursors that were saved before they noted it. A cursor of another field than today's says nothing of what
    today's has passed: everything is read again, once. `since` and `until` name the parameters that ask a generic source for changes.
    `since: null` says that it has none: every run then reads everything and leaves out what is old.
    """

    field: FieldPath
    formerly: FieldPath | None = None
    lookback: Duration = timedelta(minutes=5)
    since: str | None = None
    until: str | None = None
