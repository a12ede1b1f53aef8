"""OAuth 2.0 (RFC 6749). Rotated refresh tokens are kept before anything else may use them."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal

from pydantic import Field

from spine.core.errors import AuthFailed
from spine.core.tokens import Token
from spine.http.auth.asking import TokenRequest, endpoint
from spine.http.auth.signing import Account, Auth, Credentials, Signer
from spine.http.auth.tokens import Renewing
from spine.http.auth.values import Send, Value

Grant = Literal["refresh_token", "client_credentials", "authorization_code", "device_code", "password"]
BEARER = Send(headers={"Authorization": "Bearer {token}"})


class TokenAuth(Auth):
    """What all grants of a token endpoint have in common; a kind gives the fields that it offers."""

    type: str
    token_path: Value = Field(default="/oauth2/token", description="The token endpoint, below the Connection's host or whole")
    scopes: tuple[str, ...] = Field(default=(), description="What is asked for; `scope` in the Connection's extra stands above it")
    request: TokenRequest = Field(default_factory=TokenRequest, description="How the token endpoint is asked, and what its answer says")
    send: Send = Field(default_factory=lambda: BEARER, description="Where the token travels: headers, params, cookies, body")

    def signer(self, account: Account) -> Signer:
        """Signs with a token that is renewed ahead of its end."""
        self.token_url(account.credentials)
        return Renewing(account, self.send, lambda current: self.ask(account, current))

    def token_url(self, credentials: Credentials) -> str:
        """The token endpoint. Raises ConfigError if secrets would travel to it unencrypted."""
        return endpoint(self.token_path, credentials, "token_url")

    def scope(self, credentials: Credentials) -> dict[str, str]:
        """The field of what is asked for; none where nobody says."""
        scope = str(credentials.extra.get("scope") or " ".join(self.scopes))
        return {"scope": scope} if scope else {}

    def offers(self, account: Account, current: Token | None) -> list[dict[str, str]]:
        """What to offer the token endpoint, one after the other. Raises AuthFailed where the Connection lacks it."""
        raise NotImplementedError

    def ask(self, account: Account, current: Token | None) -> Token:
        """A token for the first offer that is taken. Raises AuthFailed if none is, RateLimited, SourceUnavailable."""
        url, refusal = self.token_url(account.credentials), None
        for offer in self.offers(account, current):
            try:
                return _same_grant(self.request.ask(url, offer, account, offer.get("refresh_token")), current)
            except AuthFailed as error:
                refusal = error
        raise refusal or AuthFailed("nothing to offer the token endpoint", connection=account.credentials.connection)


class OAuth2Auth(TokenAuth):
    """Access tokens of a token endpoint. The Connection holds the client (login, password) and, in extra, the first `refresh_token`.

    `token_url` (in place of `token_path`) and `scope` may be in the extra too. A token is refreshed by one worker at a time. With
    `authorization_code` or `device_code`, `spine auth <source>` asks a person once and keeps the grant; from then on it is refreshed.
    `password` offers `username` and `user_password` of the extra, for vendors that know nothing better.

    Example:
        type: oauth2
        grant: client_credentials
        token_path: /services/oauth2/token
    """

    labels: ClassVar[dict[str, str]] = {
        # pragma: allowlist nextline secret
        "login": "Client id", "password": "Client secret", "extra.refresh_token": "Refresh token", "extra.token_url": "Token URL",
        "extra.scope": "Scope", "extra.username": "Person's user name", "extra.user_password": "Person's password",
    }  # fmt: skip
    type: Literal["oauth2"] = "oauth2"
    grant: Grant = Field(default="refresh_token", description="What the token endpoint is offered")
    authorize_path: Value = Field(default="/oauth2/authorize", description="Where a person agrees, for `spine auth`")
    authorize_params: dict[str, str] = Field(default_factory=dict, description="Further parameters of that address, as `access_type`")
    device_path: Value = Field(default="/oauth2/device", description="Where a device code is asked for (RFC 8628)")
    redirect_uri: str = Field(default="", description="The registered one; a free port of this machine unless given")
    pkce: bool = Field(default=True, description="Whether the code is bound to who asked for it (RFC 7636, S256)")

    def offers(self, account: Account, current: Token | None) -> list[dict[str, str]]:
        """The rotated grant, then the Connection's (an operator may have renewed it)."""
        credentials = account.credentials
        if self.grant == "client_credentials":
            return [{"grant_type": "client_credentials", **self.scope(credentials)}]
        if self.grant == "password":
            person = {"username": credentials.value("username"), "password": credentials.value("user_password")}
            return [{"grant_type": "password", **person, **self.scope(credentials)}]
        first = str(credentials.extra.get("refresh_token") or "")
        found = dict.fromkeys(token for token in (current.refresh_token if current else None, first) if token)
        if not found:
            hint = "`spine auth <source>` asks for one, or put it into the Connection's extra"
            raise AuthFailed("no refresh token", hint=hint, connection=credentials.connection)
        return [{"grant_type": "refresh_token", "refresh_token": token} for token in found]

    def ask(self, account: Account, current: Token | None) -> Token:
        """A token; one that never ends may be in the extra, where a vendor gives no refresh token."""
        extra = account.credentials.extra
        given = str(extra.get("access_token") or "")
        renewable = extra.get("refresh_token") or (current is not None and current.refresh_token)
        if given and not renewable and self.grant != "client_credentials" and (current is None or current.access_token != given):
            return Token(given)
        return super().ask(account, current)


def _same_grant(token: Token, former: Token | None) -> Token:
    """With the end of its grant, which not every answer tells again: a refresh token that stays keeps its end."""
    same = former is not None and former.grant_expires_at is not None and former.refresh_token == token.refresh_token is not None
    return replace(token, grant_expires_at=former.grant_expires_at) if same and former is not None else token
