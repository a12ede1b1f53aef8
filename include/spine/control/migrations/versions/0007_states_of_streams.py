"""Cursors of partitions, where a stream has so many that they are too long for a Variable."""

from alembic import op

revision = "0007"
down_revision = "0006"

_TABLE = """
CREATE TABLE spine.stream_states (
    tenant_id text NOT NULL, connection_id text NOT NULL, stream text NOT NULL, state_id text NOT NULL, parts text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, connection_id, stream, state_id)
);
ALTER TABLE spine.stream_states ENABLE ROW LEVEL SECURITY;
ALTER TABLE spine.stream_states FORCE ROW LEVEL SECURITY;
CREATE POLICY by_tenant ON spine.stream_states USING (tenant_id = current_setting('spine.tenant', true));
GRANT SELECT, INSERT, DELETE ON spine.stream_states TO spine_app;
"""


def upgrade() -> None:
    """Make the table, close it by tenant, and give the application its rights."""
    op.execute(_TABLE)
