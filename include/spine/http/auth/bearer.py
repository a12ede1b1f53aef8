"""A fixed token in the Authorization header (RFC 6750)."""

from __future__ import annotations

from typing import Literal

from spine.http.auth.signing import Account, Auth, Credentials, Signer, with_header
from spine.http.transport import Request


class BearerAuth(Auth):
    """A token that does not end, as private apps have it: the password of the Connection.

    Example:
        type: bearer
    """

    type: Literal["bearer"] = "bearer"

    def signer(self, account: Account) -> Signer:
        """Signs with the Connection's password."""
        return Bearer(account.credentials)


class Bearer(Signer):
    """Puts the fixed token in the Authorization header."""

    def __init__(self, credentials: Credentials) -> None:
        self._token = credentials.needed("password")

    def sign(self, request: Request) -> Request:
        """The request with the Authorization header."""
        return with_header(request, "Authorization", f"Bearer {self._token}")
