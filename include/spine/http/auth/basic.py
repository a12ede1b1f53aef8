"""Login and password in the Authorization header (RFC 7617)."""

from __future__ import annotations

import base64
from typing import ClassVar, Literal

from pydantic import Field

from spine.http.auth.signing import Account, Auth, Credentials, Signer, with_header
from spine.http.auth.values import Value, filled, looking_up
from spine.http.transport import Request


class BasicAuth(Auth):
    """Login and password of the Connection with each request. Many vendors want a key in one of their places: say which.

    Example:
        type: basic
        login: "{login}/token"
    """

    labels: ClassVar[dict[str, str]] = {"login": "User", "password": "Password"}
    type: Literal["basic"] = "basic"
    login: Value = Field(default="{login}", description="What stands before the colon")
    password: Value = Field(default="{password}", description="What stands behind it")

    def signer(self, account: Account) -> Signer:
        """Signs with the Connection's login and password."""
        return Basic(account.credentials, self.login, self.password)


class Basic(Signer):
    """Puts login and password in the Authorization header; a password that the Connection lacks is an empty one."""

    def __init__(self, credentials: Credentials, login: str, password: str) -> None:
        lookup = looking_up(credentials)
        empty = looking_up(credentials, {"password": credentials.password})
        pair = f"{filled(login, lookup)}:{filled(password, empty)}"
        self._value = base64.b64encode(pair.encode()).decode()

    def sign(self, request: Request) -> Request:
        """The request with the Authorization header."""
        return with_header(request, "Authorization", f"Basic {self._value}")
