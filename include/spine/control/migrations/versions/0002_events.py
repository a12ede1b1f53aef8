"""Events."""

from alembic import op

revision = "0002"
down_revision = "0001"

_TABLE = """
CREATE TABLE spine.events (
    tenant_id text NOT NULL, event_id bigint GENERATED ALWAYS AS IDENTITY, kind text NOT NULL, facts jsonb NOT NULL, once_key text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(), handed_at timestamptz,
    PRIMARY KEY (tenant_id, event_id),
    UNIQUE (tenant_id, kind, once_key)
);
CREATE INDEX ON spine.events (tenant_id, event_id) WHERE handed_at IS NULL;
ALTER TABLE spine.events ENABLE ROW LEVEL SECURITY;
ALTER TABLE spine.events FORCE ROW LEVEL SECURITY;
CREATE POLICY by_tenant ON spine.events USING (tenant_id = current_setting('spine.tenant', true));
GRANT SELECT, INSERT, UPDATE, DELETE ON spine.events TO spine_app;
"""


def upgrade() -> None:
    """Make the table, close it by tenant, and give the application its rights."""
    op.execute(_TABLE)
