"""What guards the audit log and token refreshes are rows that the application alone may touch: any login may take an advisory lock."""

from alembic import op

revision = "0004"
down_revision = "0003"

_TABLES = """
CREATE TABLE spine.audit_heads (tenant_id text PRIMARY KEY, id bigint NOT NULL, hash text NOT NULL);
ALTER TABLE spine.audit_log NO FORCE ROW LEVEL SECURITY;
INSERT INTO spine.audit_heads
SELECT DISTINCT ON (tenant_id) tenant_id, id, hash FROM spine.audit_log ORDER BY tenant_id, id DESC;
ALTER TABLE spine.audit_log FORCE ROW LEVEL SECURITY;
CREATE TABLE spine.token_locks (tenant_id text NOT NULL, connection_id text NOT NULL, PRIMARY KEY (tenant_id, connection_id));
"""

# The owner writes the heads: the application can neither set one back nor skip a number. A writer that waits for another of its
# tenant gives up after ten seconds, whatever its session's settings are.
_SEAL = """
CREATE OR REPLACE FUNCTION spine.audit_seal() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '10s'
AS $$
DECLARE
    head spine.audit_heads;
BEGIN
    INSERT INTO spine.audit_heads AS h
    SELECT NEW.tenant_id, coalesce(max(last.id), 0) + 1, coalesce(max(last.hash), '')
    FROM (SELECT id, hash FROM spine.audit_log WHERE tenant_id = NEW.tenant_id ORDER BY id DESC LIMIT 1) AS last
    ON CONFLICT (tenant_id) DO UPDATE SET id = h.id + 1 RETURNING * INTO head;
    NEW.id := head.id;
    NEW.previous_hash := head.hash;
    NEW.created_at := clock_timestamp();
    NEW.hash := spine.audit_digest(NEW);
    UPDATE spine.audit_heads SET hash = NEW.hash WHERE tenant_id = NEW.tenant_id;
    RETURN NEW;
END
$$;
"""
_FUNCTIONS = """
REVOKE ALL ON FUNCTION spine.audit_digest(spine.audit_log), spine.audit_seal(), spine.audit_refuse() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION spine.audit_digest(spine.audit_log) TO spine_app;
"""
_RIGHTS = {"audit_heads": "SELECT", "token_locks": "SELECT, INSERT, UPDATE"}


def upgrade() -> None:
    """Make the tables, take the heads over from the log, and close both by tenant."""
    op.execute(_TABLES)
    for table, rights in _RIGHTS.items():
        op.execute(f"ALTER TABLE spine.{table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE spine.{table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY by_tenant ON spine.{table} USING (tenant_id = current_setting('spine.tenant', true))")
        op.execute(f"GRANT {rights} ON spine.{table} TO spine_app")
    op.execute(_SEAL)
    op.execute(_FUNCTIONS)
    op.execute("GRANT SELECT, INSERT, UPDATE ON spine.ledger TO spine_jobs")  # all that Spark jobs write
