"""A source without an end, or with too large a one, stops at the limits of its file, and nothing of what was read is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from spine.core.errors import SourceTooLarge
from spine.pipeline import extract
from spine.pipeline.work import Sync

pytestmark = pytest.mark.postgres


def limit(folder: Path, words: str) -> None:
    """Declare other limits."""
    path = folder / "hubspot.yaml"
    kept = [line for line in path.read_text().splitlines() if not line.startswith("limits:")]
    path.write_text("\n".join(kept) + f"\nlimits: {words}\n")


@pytest.mark.parametrize(
    ("tight", "loose", "committed"),
    [("{pages: 3}", "{pages: 5000}", 300), ("{megabytes: 1}", "{megabytes: 200}", None)],
    ids=["pages", "bytes"],
)
def test_a_stream_stops_at_its_limit_and_goes_on_from_there_when_it_is_raised(make_spine, small_pages, tight, loose, committed):
    spine = make_spine(scale=3000)
    limit(small_pages, tight)
    (work,) = extract.plan(Sync("hubspot", "r1", spine.tenants, ["contacts"], "full"), spine.services)
    with pytest.raises(SourceTooLarge, match=r"raise that limit in the source's file and clear the task"):
        extract.extract(work, spine.services)
    kept = spine.bronze("hubspot", "contacts")
    assert len(kept) == committed if committed else len(kept) > 500
    assert spine.cursor("hubspot", "contacts") is None
    with pytest.raises(SourceTooLarge):  # tried again as it is: the pages of both attempts count
        extract.extract(work, spine.services)
    asked = len(spine.server.sandbox.calls)
    limit(small_pages, loose)
    result = extract.extract(work, spine.services)
    everything = spine.bronze("hubspot", "contacts")
    assert kept == [row for row in everything if row in set(kept)]
    assert result.counts.rows == len(everything) == len({row[0] for row in everything})
    again = [call.query.get("after") for call in list(spine.server.sandbox.calls)[asked:]]
    assert None not in again[:1]  # not from the beginning
