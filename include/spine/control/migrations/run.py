"""Runs the migrations from the package itself: no alembic.ini, no command line."""

from __future__ import annotations

import threading
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import text

from spine.control.database import new_engine, one_at_a_time, psycopg_url, reachable

_ONE_AT_A_TIME = threading.Lock()  # Alembic keeps the migration under way in module globals: two threads would mix them up


def migrate(url: str, revision: str = "head") -> None:
    """Bring schema `spine` to `revision`; waits for another migration of the same database. Raises ControlPlaneUnavailable.

    `url` is an administrator's; the roles must exist (`bootstrap` makes both).
    """
    target = psycopg_url(url)
    engine = new_engine(target)
    try:
        with _ONE_AT_A_TIME, reachable(target), engine.begin() as connection:
            one_at_a_time(connection)
            connection.execute(text("SET LOCAL ROLE spine_owner"))
            config = Config()
            config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
            config.set_main_option("path_separator", "os")
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
    finally:
        engine.dispose()
