"""A database's login: nothing of it is sent by HTTP."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from spine.core.errors import ConfigError
from spine.http.auth.signing import Account, Auth, Credentials, Signer
from spine.http.auth.values import Value, filled, looking_up


class DatabaseAuth(Auth):
    """User and password of a database, which its reader logs in with.

    Example:
        type: database
    """

    labels: ClassVar[dict[str, str]] = {"login": "User", "password": "Password"}
    type: Literal["database", "username_password"] = "database"
    user: Value = Field(default="{login}", description="Who logs in")
    password: Value = Field(default="{password}", description="With which password")

    def login(self, credentials: Credentials) -> tuple[str, str]:
        """User and password; one that the Connection lacks is empty. Raises AuthFailed without a user."""
        return filled(self.user, looking_up(credentials)), filled(
            self.password, looking_up(credentials, {"password": credentials.password})
        )

    def signer(self, account: Account) -> Signer:
        """None: raises ConfigError, since a database is asked by no request."""
        raise ConfigError(
            "`type: database` signs no requests",
            hint="Choose the kind that the vendor's API wants",
            connection=account.credentials.connection,
        )
