"""Login and password in the Authorization header (RFC 7617)."""

from __future__ import annotations

import base64
from typing import Literal

from spine.http.auth.signing import Account, Auth, Credentials, Signer, with_header
from spine.http.transport import Request


class BasicAuth(Auth):
    """Login and password of the Connection with each request.

    Example:
        type: basic
    """

    type: Literal["basic"] = "basic"

    def signer(self, account: Account) -> Signer:
        """Signs with the Connection's login and password."""
        return Basic(account.credentials)


class Basic(Signer):
    """Puts login and password in the Authorization header."""

    def __init__(self, credentials: Credentials) -> None:
        pair = f"{credentials.needed('login')}:{credentials.password}"
        self._value = base64.b64encode(pair.encode()).decode()

    def sign(self, request: Request) -> Request:
        """The request with the Authorization header."""
        return with_header(request, "Authorization", f"Basic {self._value}")
