"""When a grant ends with which tokens are refreshed, so that somebody can be told before: the token itself is sealed."""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Of grants that are stored already nothing is known until they are refreshed."""
    op.execute("ALTER TABLE spine.oauth_tokens ADD COLUMN grant_expires_at timestamptz")
