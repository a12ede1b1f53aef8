"""Spark jobs tell that weights were learned anew: they may add events, and read none."""

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Let the jobs' role add events."""
    op.execute("GRANT INSERT ON spine.events TO spine_jobs")
