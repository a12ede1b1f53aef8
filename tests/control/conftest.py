"""The control plane of a tenant that no other test uses."""

from __future__ import annotations

import pytest

from spine.control.database import Database, TenantDatabase


@pytest.fixture
def control(database: Database, tenant: str) -> TenantDatabase:
    """The test's own tenant in the module's control plane."""
    return database.of(tenant)
