"""What tests of publications share."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from spine.control.bootstrap import bootstrap


@pytest.fixture
def url(admin_url: str) -> Iterator[str]:
    """A control plane whose Gold is empty."""
    application = bootstrap(admin_url)
    yield application
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA gold CASCADE")
