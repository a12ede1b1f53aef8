"""Which Connection a source refused, as a keyed fingerprint, so that a changed one is tried again."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Connections that are paused already have none: they wait for a person, or for a good test."""
    op.execute("ALTER TABLE spine.connectors ADD COLUMN refused_fingerprint text NOT NULL DEFAULT ''")
