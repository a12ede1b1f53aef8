"""A JSON Web Token that we sign ourselves, with each request (RFC 7519)."""

from __future__ import annotations

import time
from typing import ClassVar, Literal

from pydantic import Field

from spine.http.auth.jwts import Jwt
from spine.http.auth.oauth2 import BEARER
from spine.http.auth.signing import Account, Auth, Credentials, Signer
from spine.http.auth.values import Send, looking_up
from spine.http.transport import Request


class JwtAuth(Auth):
    """A token signed with the Connection's key, made anew when four fifths of its life are over. No token endpoint is asked.

    Example:
        type: jwt
        jwt: {algorithm: ES256, claims: {iss: "{login}", aud: appstoreconnect-v1}, headers: {kid: "{key_id}"}}
    """

    labels: ClassVar[dict[str, str]] = {"login": "Issuer", "password": "Private key or shared secret"}
    type: Literal["jwt"] = "jwt"
    jwt: Jwt = Field(default_factory=Jwt, description="What it says and how it is signed")
    send: Send = Field(default_factory=lambda: BEARER, description="Where the token travels: headers, params, cookies, body")

    def signer(self, account: Account) -> Signer:
        """Signs with the Connection's key."""
        return SelfSigned(account.credentials, self.jwt, self.send)


class SelfSigned(Signer):
    """Makes tokens; one serves until its end is near."""

    def __init__(self, credentials: Credentials, made: Jwt, send: Send) -> None:
        self._credentials, self._made, self._send = credentials, made, send
        self._token, self._until = made.token(credentials), self._fresh()

    def sign(self, request: Request) -> Request:
        """The request with a token that has not ended."""
        if time.monotonic() >= self._until:
            self._token, self._until = self._made.token(self._credentials), self._fresh()
        return self._send.fill(request, looking_up(self._credentials, {"token": self._token}))

    def unsigned(self, link: str) -> str:
        """A link without the parameters that carry the token."""
        return self._send.unsigned(link)

    def _fresh(self) -> float:
        return time.monotonic() + 0.8 * self._made.lifetime.total_seconds()
