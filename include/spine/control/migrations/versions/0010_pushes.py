"""What was sent back to systems: runs, each change with what stood there before, what both sides held last, and conflicts for people."""

from alembic import op

revision = "0010"
down_revision = "0009"

# Values of records stand in `before`, `fields`, `sent` and `held`, under the same row-level security as Gold's.
_TABLES = """
CREATE TABLE spine.push_runs (
    tenant_id text NOT NULL, push text NOT NULL, run_id text NOT NULL, undoes text NOT NULL DEFAULT '',
    status text NOT NULL CHECK (status IN ('planned', 'compared', 'done', 'partial', 'failed')),
    counts jsonb NOT NULL DEFAULT '{}', approved_by text NOT NULL DEFAULT '', triggered_by text NOT NULL DEFAULT '',
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(), ended_at timestamptz, error text NOT NULL DEFAULT '',
    PRIMARY KEY (tenant_id, push, run_id)
);
CREATE TABLE spine.push_changes (
    tenant_id text NOT NULL, push text NOT NULL, run_id text NOT NULL, number bigint NOT NULL,
    side text NOT NULL CHECK (side IN ('destination', 'source')), op text NOT NULL CHECK (op IN ('create', 'update', 'delete')),
    record_key text NOT NULL, match jsonb NOT NULL, fields jsonb NOT NULL, before jsonb, sent jsonb NOT NULL, held jsonb NOT NULL,
    local_id text NOT NULL DEFAULT '', remote_id text NOT NULL DEFAULT '',
    state text NOT NULL DEFAULT 'planned' CHECK (state IN ('planned', 'sending', 'sent', 'confirmed', 'failed', 'dropped')),
    tries int NOT NULL DEFAULT 0, error_code text NOT NULL DEFAULT '', error_message text NOT NULL DEFAULT '',
    retryable boolean NOT NULL DEFAULT false, changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, push, run_id, number)
);
CREATE INDEX ON spine.push_changes (tenant_id, push, run_id, number) WHERE state IN ('planned', 'sending', 'sent');
CREATE TABLE spine.push_records (
    tenant_id text NOT NULL, push text NOT NULL, record_key text NOT NULL, local_id text NOT NULL DEFAULT '',
    remote_id text NOT NULL DEFAULT '', sent jsonb NOT NULL DEFAULT '{}', held jsonb NOT NULL DEFAULT '{}',
    sent_cursor text, held_cursor text,
    deleted boolean NOT NULL DEFAULT false, refused text NOT NULL DEFAULT '', refused_why text NOT NULL DEFAULT '',
    confirmed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, push, record_key)
);
CREATE INDEX ON spine.push_records (tenant_id, push, local_id) WHERE local_id <> '';
CREATE INDEX ON spine.push_records (tenant_id, push, remote_id) WHERE remote_id <> '';
CREATE TABLE spine.push_conflicts (
    tenant_id text NOT NULL, push text NOT NULL, record_key text NOT NULL, field text NOT NULL, ours jsonb, theirs jsonb,
    found_at timestamptz NOT NULL DEFAULT clock_timestamp(), run_id text NOT NULL,
    decision text NOT NULL DEFAULT '' CHECK (decision IN ('', 'source', 'target')),
    decided_by text NOT NULL DEFAULT '', decided_at timestamptz,
    PRIMARY KEY (tenant_id, push, record_key, field)
);
"""
_NAMES = ("push_runs", "push_changes", "push_records", "push_conflicts")


def upgrade() -> None:
    """Make the tables, close them by tenant, and give the application its rights."""
    op.execute(_TABLES)
    for table in _NAMES:
        op.execute(f"ALTER TABLE spine.{table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE spine.{table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY by_tenant ON spine.{table} USING (tenant_id = current_setting('spine.tenant', true))")
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON spine.{table} TO spine_app")
