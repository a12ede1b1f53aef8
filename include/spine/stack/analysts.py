"""The analysts' logins: one way for the stack, the demo and `spine tenant add`.

On the embedded server a login has a password of its own, made once for each home and kept as libpq reads it (mode 600). It is never
printed: what is printed names the file.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from spine.control import embedded
from spine.control.bootstrap import ensure_analyst
from spine.control.database import analyst_role
from spine.core.ports import LOOPBACK
from spine.core.settings import settings
from spine.stack.files import secret, secret_path

TRUST = "whoever may open PostgreSQL's socket folder is its administrator without a password: give others this login, and not that folder"


@dataclass(frozen=True)
class AnalystLogin:
    """A tenant's analysts in PostgreSQL: their role and the URL that opens Gold, which holds no password but names its file."""

    role: str
    url: str

    @property
    def command(self) -> str:
        """What to type to ask Gold."""
        return f"psql '{self.url}'"


def let_in(server: embedded.EmbeddedPostgres, tenant: str) -> AnalystLogin:
    """Make the login of a tenant's analysts on the embedded server, or find it. Raises ControlPlaneUnavailable."""
    role = analyst_role(tenant)
    passfile, password = _password(role)
    ensure_analyst(server.uri_admin, tenant, password=password)
    if not server.port:  # started by a version that let nobody in from outside; from the next start on there is a port
        return AnalystLogin(role, server.uri("spine", user=role))
    return AnalystLogin(role, f"postgresql://{role}@{LOOPBACK}:{server.port}/spine?passfile={quote(str(passfile), safe='/')}")


def login_of(tenant: str) -> AnalystLogin | None:
    """The login where this deployment lets us make one: SPINE_ADMIN_URL names an administrator, or the embedded server runs."""
    if settings().admin_url:
        return AnalystLogin(ensure_analyst(settings().admin_url, tenant, password=settings().analyst_password or None), "")
    server = embedded.running(settings().home)
    return let_in(server, tenant) if server else None


def _password(role: str) -> tuple[Path, str]:
    """The file with the password of a role, at any port, since that may change, and the password; SPINE_ANALYST_PASSWORD replaces it."""
    name, start, given = f"{role}.pgpass", f"{LOOPBACK}:*:spine:{role}:", settings().analyst_password
    wanted = re.sub(r"([\\:])", r"\\\1", given) or secrets.token_urlsafe(24)
    kept = secret(name, f"{start}{wanted}\n").removeprefix(start).rstrip("\n")
    if given and kept != wanted:
        secret_path(name).unlink()
        secret(name, f"{start}{wanted}\n")
    return secret_path(name), given or re.sub(r"\\(.)", r"\1", kept)
