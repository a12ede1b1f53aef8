"""What changed in the shape of streams, run by run."""

from alembic import op

revision = "0008"
down_revision = "0007"

_TABLE = """
CREATE TABLE spine.drift_events (
    tenant_id text NOT NULL, drift_id bigint GENERATED ALWAYS AS IDENTITY, connection_id text NOT NULL, stream text NOT NULL,
    run_id text NOT NULL, kind text NOT NULL CHECK (kind IN ('added', 'removed', 'retyped')), field text NOT NULL,
    before text NOT NULL DEFAULT '', after text NOT NULL DEFAULT '', destructive boolean NOT NULL, fingerprint text NOT NULL,
    detected_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, drift_id),
    UNIQUE (tenant_id, connection_id, stream, run_id, kind, field)
);
CREATE INDEX ON spine.drift_events (tenant_id, detected_at DESC);
ALTER TABLE spine.drift_events ENABLE ROW LEVEL SECURITY;
ALTER TABLE spine.drift_events FORCE ROW LEVEL SECURITY;
CREATE POLICY by_tenant ON spine.drift_events USING (tenant_id = current_setting('spine.tenant', true));
GRANT SELECT, INSERT, DELETE ON spine.drift_events TO spine_app;
"""


def upgrade() -> None:
    """Make the table, close it by tenant, and give the application its rights."""
    op.execute(_TABLE)
