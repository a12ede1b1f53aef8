"""Alembic's entry point: runs in the transaction that `migrate` opened, as role `spine_owner`."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], version_table_schema="spine")
context.run_migrations()
