"""The owner, as whom an administrator rotates the deployment's key, sees the keys and tokens of every tenant."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Nobody logs in as the owner, and the application cannot become it."""
    for table in ("tenant_keys", "oauth_tokens"):
        op.execute(f"CREATE POLICY by_owner ON spine.{table} TO spine_owner USING (true)")
