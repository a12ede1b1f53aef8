"""Access tokens for an assertion that we sign ourselves: JWT bearer (RFC 7523), as service accounts have it."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal

from pydantic import Field

from spine.core.tokens import Token
from spine.http.auth.asking import TokenRequest
from spine.http.auth.jwts import Jwt
from spine.http.auth.oauth2 import TokenAuth
from spine.http.auth.signing import Account

_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_CLIENT = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class AssertionRequest(TokenRequest):
    """How the token endpoint is asked: the assertion says who asks."""

    client: Literal["body", "basic", "id", "none"] = Field(default="none", description="Where client id and secret go")


class JwtBearerAuth(TokenAuth):
    """Offers the token endpoint a JWT that the Connection's key has signed. `aud` is the endpoint unless the claims say otherwise.

    `use: client` signs in the client itself with it (`private_key_jwt`, client credentials); `use: grant` acts for a user or a service
    account; `use: bearer` signs the request for a token with it, as apps of GitHub do for an installation.
    Vendors that want the scope inside of it: `claims: {scope: "{scope}"}`.

    Example:
        type: jwt_bearer
        token_path: https://oauth2.example.com/token
        jwt: {claims: {iss: "{client_email}", scope: read}, key: "{private_key}"}
    """

    labels: ClassVar[dict[str, str]] = {"login": "Client id or issuer", "password": "Private key (PEM)", "extra.token_url": "Token URL"}
    type: Literal["jwt_bearer"] = "jwt_bearer"
    use: Literal["grant", "client", "bearer"] = Field(
        default="grant", description="Whether it stands for a user, for the client itself, or signs the request for a token"
    )
    jwt: Jwt = Field(default_factory=Jwt, description="What it says and how it is signed")
    request: AssertionRequest = Field(default_factory=AssertionRequest, description="How the token endpoint is asked, and what it answers")

    def ask(self, account: Account, current: Token | None) -> Token:
        """A token for the first offer that is taken; for none, where the request is signed. Raises as TokenAuth's."""
        if self.use != "bearer":
            return super().ask(account, current)
        asked = self.request.request(self.token_url(account.credentials), {}, account)
        bearer = f"Bearer {self.jwt.token(account.credentials, {'iss': account.credentials.login})}"
        response = account.send(replace(asked, secret_headers={**asked.secret_headers, "Authorization": bearer}))
        return self.request.token_of(response, connection=account.credentials.connection)

    def offers(self, account: Account, current: Token | None) -> list[dict[str, str]]:
        """A new assertion each time: it lives for minutes only."""
        credentials = account.credentials
        claims = {"iss": credentials.login, "aud": self.token_url(credentials)}
        if self.use == "client":
            assertion = self.jwt.token(credentials, {**claims, "sub": credentials.login})
            client = {"client_assertion_type": _CLIENT, "client_assertion": assertion}
            return [{"grant_type": "client_credentials", **client, **self.scope(credentials)}]
        return [{"grant_type": _BEARER, "assertion": self.jwt.token(credentials, claims), **self.scope(credentials)}]
