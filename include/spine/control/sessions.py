"""Analysts' sessions, and the end of those that go beyond the limits or stand in a publication's way.

No setting stops this, and it needs no right over strangers: `spine_app` becomes the login by SET ROLE and ends its own sessions. A login
that an operator made by hand as a member of `analyst` is reached only if it was granted to `spine_app` as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import text

from spine.control.database import Database
from spine.core.screen import logger
from spine.core.settings import AnalystLimits

_log = logger(__name__)

_LOGINS = text("""
SELECT DISTINCT r.rolname, pg_has_role(session_user, r.oid, 'SET') AS ours
FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid
WHERE a.datname = current_database() AND NOT r.rolsuper AND r.rolname NOT IN ('spine_app', 'spine_jobs')
  AND pg_has_role(r.oid, 'analyst', 'MEMBER') AND (CAST(:blocked AS integer) IS NULL OR a.pid = ANY(pg_blocking_pids(:blocked)))
ORDER BY 1
""")
# Found first and ended then: in one condition PostgreSQL might try strangers' sessions before it asks whose they are.
_END = """
WITH mine AS MATERIALIZED (
    SELECT pid, {why} AS why FROM pg_stat_activity
    WHERE datname = current_database() AND usesysid = (SELECT oid FROM pg_roles WHERE rolname = current_user)
), beyond AS MATERIALIZED (SELECT pid, why FROM mine WHERE why IS NOT NULL)
SELECT pid, why, pg_terminate_backend(pid) FROM beyond
"""
_BEYOND = text(
    _END.format(
        why="""CASE WHEN xact_start < now() - :minutes * interval '1 minute' THEN 'a transaction of more than ' || :minutes || ' minutes'
        WHEN state = 'active' AND query_start < now() - :minutes * interval '1 minute'
        THEN 'a statement of more than ' || :minutes || ' minutes'
        WHEN state = 'idle' AND state_change < now() - make_interval(mins => :idle) THEN 'idle for more than ' || :idle || ' minutes' END"""
    )
)
_BLOCKING = text(_END.format(why="CASE WHEN pid = ANY(pg_blocking_pids(:blocked)) THEN 'in the way of a publication' END"))


@dataclass(frozen=True)
class Ended:
    """A session that was ended: whose, its process on the server, and why."""

    login: str
    pid: int
    why: str


def end_beyond(database: Database, limits: AnalystLimits) -> list[Ended]:
    """End analysts' sessions whose transaction, statement or idleness is beyond the limits. Raises ControlPlaneUnavailable.

    A statement counts by itself: a `DO` may end its transaction and begin another as often as it likes.
    """
    return _end(database, _BEYOND, {"minutes": limits.minutes, "idle": limits.idle}, blocked=None)


def end_blocking(database: Database, blocked: int) -> list[Ended]:
    """End analysts' sessions that hold what the server's process `blocked` waits for. Raises ControlPlaneUnavailable."""
    return _end(database, _BLOCKING, {"blocked": blocked}, blocked=blocked)


def _end(database: Database, statement: Any, facts: dict[str, int], *, blocked: int | None) -> list[Ended]:
    ended: list[Ended] = []
    with database.begin() as connection:
        logins = connection.execute(_LOGINS, {"blocked": blocked}).all()
    for login, ours in logins:
        if not ours:
            _log.warning("Sessions of %s cannot be ended: GRANT %s TO spine_app WITH INHERIT FALSE, SET TRUE", login, login)
            continue
        with database.begin() as connection:
            connection.execute(text("SELECT set_config('role', :role, true)"), {"role": login})
            ended += [Ended(login, row.pid, row.why) for row in connection.execute(statement, facts)]
    for one in ended:
        _log.warning("Session %s of %s was ended: %s", one.pid, one.login, one.why)
    return ended
