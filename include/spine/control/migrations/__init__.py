"""Alembic migrations of schema `spine`, run by `migrate(url)` and never by hand."""
