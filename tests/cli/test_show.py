"""What people read on the terminal."""

import pytest

from spine.cli import show


@pytest.mark.parametrize(
    ("cursor", "shown"),
    [
        (None, ""),
        ("2026-01-31T08:15:00.000000Z", "2026-01-31T08:15:00.000000Z"),
        ('{"files":{"b.csv":"2","a.csv":"1"}}', "2 files, to b.csv"),
        ('{"files":{}}', "no files"),
    ],
)
def test_a_cursor_is_short(cursor: str | None, shown: str) -> None:
    assert show.position(cursor) == shown
