"""Runs, leases, breakers, buckets, tokens, audit log, ledger, connectors."""

from alembic import op

revision = "0001"
down_revision = None

_TABLES = """
CREATE TABLE spine.sync_runs (
    tenant_id text NOT NULL, source text NOT NULL, run_id text NOT NULL, connection_id text NOT NULL,
    mode text NOT NULL, triggered_by text NOT NULL DEFAULT '',
    status text NOT NULL CHECK (status IN ('running', 'success', 'partial', 'failed', 'skipped')),
    started_at timestamptz NOT NULL, ended_at timestamptz, interval_start timestamptz, interval_end timestamptz,
    rows_processed bigint NOT NULL DEFAULT 0, error_summary text NOT NULL DEFAULT '',
    PRIMARY KEY (tenant_id, source, run_id)
);
CREATE INDEX ON spine.sync_runs (tenant_id, started_at DESC);

CREATE TABLE spine.stream_runs (
    tenant_id text NOT NULL, source text NOT NULL, run_id text NOT NULL, stream text NOT NULL, job text NOT NULL,
    status text NOT NULL CHECK (status IN ('running', 'success', 'partial', 'failed', 'skipped')),
    started_at timestamptz NOT NULL, ended_at timestamptz,
    rows bigint NOT NULL DEFAULT 0, bytes bigint NOT NULL DEFAULT 0, pages bigint NOT NULL DEFAULT 0,
    cursor_from text, cursor_to text, error_code text NOT NULL DEFAULT '', error_message text NOT NULL DEFAULT '',
    PRIMARY KEY (tenant_id, source, run_id, stream),
    FOREIGN KEY (tenant_id, source, run_id) REFERENCES spine.sync_runs ON DELETE CASCADE
);

CREATE TABLE spine.leases (
    tenant_id text NOT NULL, connection_id text NOT NULL, holder text NOT NULL,
    acquired_at timestamptz NOT NULL, expires_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, connection_id)
);

CREATE TABLE spine.breakers (
    tenant_id text NOT NULL, connection_id text NOT NULL,
    failures integer NOT NULL DEFAULT 0, opened_at timestamptz, probe_until timestamptz,
    PRIMARY KEY (tenant_id, connection_id)
);

CREATE TABLE spine.buckets (
    tenant_id text NOT NULL, bucket text NOT NULL,
    tokens double precision NOT NULL, updated_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, bucket)
);

CREATE TABLE spine.tenant_keys (
    tenant_id text PRIMARY KEY, wrapped_key text NOT NULL, created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE spine.oauth_tokens (
    tenant_id text NOT NULL, connection_id text NOT NULL, ciphertext text NOT NULL,
    version integer NOT NULL DEFAULT 1, expires_at timestamptz, rotated_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, connection_id)
);

CREATE TABLE spine.ledger (
    tenant_id text NOT NULL, run_id text NOT NULL, layer text NOT NULL, table_name text NOT NULL,
    rows_in bigint NOT NULL CHECK (rows_in >= 0), published bigint NOT NULL CHECK (published >= 0),
    quarantined bigint NOT NULL CHECK (quarantined >= 0), superseded bigint NOT NULL CHECK (superseded >= 0),
    filtered bigint NOT NULL CHECK (filtered >= 0), recorded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, run_id, layer, table_name)
);

CREATE TABLE spine.connectors (
    tenant_id text NOT NULL, connection_id text NOT NULL,
    paused_at timestamptz, paused_by text NOT NULL DEFAULT '', pause_reason text NOT NULL DEFAULT '',
    last_error_code text NOT NULL DEFAULT '', last_error_message text NOT NULL DEFAULT '', last_error_at timestamptz,
    last_success_at timestamptz,
    PRIMARY KEY (tenant_id, connection_id)
);

CREATE TABLE spine.audit_log (
    tenant_id text NOT NULL, id bigint NOT NULL, user_id text NOT NULL, action text NOT NULL,
    resource_type text NOT NULL, resource_id text NOT NULL, old_value jsonb, new_value jsonb,
    ip_address text, user_agent text, created_at timestamptz NOT NULL,
    previous_hash text NOT NULL, hash text NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX ON spine.audit_log (tenant_id, created_at DESC);
CREATE INDEX ON spine.audit_log (resource_type, resource_id);
"""

# The database itself numbers, dates and hashes the rows, so that a client can choose none of it. Each hash covers the one
# before, per tenant; the lock makes two writers of a tenant follow each other.
_AUDIT = """
CREATE FUNCTION spine.audit_digest(entry spine.audit_log) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT encode(sha256(convert_to(jsonb_build_array(
        entry.tenant_id, entry.id, entry.user_id, entry.action, entry.resource_type, entry.resource_id, entry.old_value,
        entry.new_value, entry.ip_address, entry.user_agent, extract(epoch FROM entry.created_at), entry.previous_hash
    )::text, 'UTF8')), 'hex')
$$;

CREATE FUNCTION spine.audit_seal() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    last record;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('spine.audit:' || NEW.tenant_id, 0));
    SELECT id, hash INTO last FROM spine.audit_log WHERE tenant_id = NEW.tenant_id ORDER BY id DESC LIMIT 1;
    NEW.id := coalesce(last.id, 0) + 1;
    NEW.previous_hash := coalesce(last.hash, '');
    NEW.created_at := clock_timestamp();
    NEW.hash := spine.audit_digest(NEW);
    RETURN NEW;
END
$$;

CREATE FUNCTION spine.audit_refuse() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION 'spine.audit_log is append-only' USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE TRIGGER seal BEFORE INSERT ON spine.audit_log FOR EACH ROW EXECUTE FUNCTION spine.audit_seal();
CREATE TRIGGER refuse BEFORE UPDATE OR DELETE ON spine.audit_log FOR EACH ROW EXECUTE FUNCTION spine.audit_refuse();
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON spine.audit_log FOR EACH STATEMENT EXECUTE FUNCTION spine.audit_refuse();
"""

_RIGHTS = {
    "sync_runs": "SELECT, INSERT, UPDATE, DELETE",
    "stream_runs": "SELECT, INSERT, UPDATE, DELETE",
    "leases": "SELECT, INSERT, UPDATE, DELETE",
    "breakers": "SELECT, INSERT, UPDATE, DELETE",
    "buckets": "SELECT, INSERT, UPDATE, DELETE",
    "tenant_keys": "SELECT, INSERT",
    "oauth_tokens": "SELECT, INSERT, UPDATE, DELETE",
    "ledger": "SELECT, INSERT, UPDATE",
    "connectors": "SELECT, INSERT, UPDATE, DELETE",
    "audit_log": "SELECT, INSERT",
}


def upgrade() -> None:
    """Make the tables, close them by tenant, and give the application its rights."""
    op.execute(_TABLES)
    op.execute(_AUDIT)
    for table, rights in _RIGHTS.items():
        op.execute(f"ALTER TABLE spine.{table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE spine.{table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY by_tenant ON spine.{table} USING (tenant_id = current_setting('spine.tenant', true))")
        op.execute(f"GRANT {rights} ON spine.{table} TO spine_app")
