"""A fixed token in the Authorization header (RFC 6750)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from spine.http.auth.api_key import Keys
from spine.http.auth.signing import Account, Auth, Credentials, Signer
from spine.http.auth.values import Send, Value


class BearerAuth(Auth):
    """A token that does not end, as private apps have it: the password of the Connection.

    Example:
        type: bearer
    """

    labels: ClassVar[dict[str, str]] = {"password": "Access token"}
    type: Literal["bearer", "token"] = "bearer"
    value: Value = Field(default="{password}", description="The token")

    def signer(self, account: Account) -> Signer:
        """Signs with the token."""
        return Bearer(account.credentials, self.value)


class Bearer(Keys):
    """Puts the fixed token in the Authorization header."""

    def __init__(self, credentials: Credentials, value: str = "{password}") -> None:
        super().__init__(credentials, Send(headers={"Authorization": f"Bearer {value}"}))
