"""Who may ask: one Salesforce org, one HubSpot portal and one drop folder per tenant, told apart by their credentials.

Salesforce's token answers follow "OAuth 2.0 Refresh Token Flow" and "OAuth 2.0 Client Credentials Flow" (help.salesforce.com,
Identify Your Users and Manage Access); with refresh-token rotation each refresh token works once.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field
from typing import Any

from spine.sandbox.assertions import jwt_claims

AUDIENCE = "https://login.salesforce.com"
_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@dataclass(frozen=True)
class Credentials:
    """All a client needs for one tenant. They open nothing but this sandbox."""

    tenant: str
    client_id: str
    client_secret: str
    refresh_token: str
    hubspot_token: str
    username: str = ""
    user_password: str = ""


def credentials(tenant: str) -> Credentials:
    """The credentials that every sandbox gives this tenant at its first start."""
    mark = hashlib.sha256(tenant.encode()).hexdigest()
    return Credentials(
        tenant=tenant,
        client_id=f"sandbox.client.{tenant}",
        client_secret=f"sandbox.secret.{tenant}",
        refresh_token=_refresh_token(tenant, 0),
        hubspot_token=f"pat-na1-sandbox-{tenant}-{mark[:8]}",
        username=f"admin@{tenant}.sandbox.example",
        user_password=f"sandbox.user.{tenant}",
    )


def _refresh_token(tenant: str, number: int) -> str:
    return f"5Aep861.{tenant}.{number}.{hashlib.sha256(f'{tenant}{number}'.encode()).hexdigest()[:16]}"


class OAuthError(Exception):
    """A refused token request; `error` and `description` as RFC 6749 section 5.2 has them."""

    def __init__(self, error: str, description: str) -> None:
        self.error, self.description = error, description
        super().__init__(error)


@dataclass
class Tokens:
    """All living tokens. `lifetime` is that of an access token in seconds; `rotate` makes refresh tokens single-use.

    `keys` are the public keys of the tenants' connected apps, as their certificates hold them.
    """

    tenants: tuple[str, ...]
    lifetime: float = 7200.0
    rotate: bool = True
    generation: dict[str, int] = field(default_factory=dict)
    keys: dict[str, Any] = field(default_factory=dict)
    _access: dict[str, tuple[str, float]] = field(default_factory=dict)
    _issued: int = 0

    def grant(self, form: dict[str, str]) -> tuple[str, str, str | None]:
        """(tenant, access token, new refresh token or None) for a token request's form. Raises OAuthError."""
        kind = form.get("grant_type", "")
        if kind == _BEARER:
            tenant = self._asserted(form.get("assertion", ""))
            return tenant, self._issue(tenant), None
        tenant = self._client(form)
        if kind == "client_credentials":
            return tenant, self._issue(tenant), None
        if kind == "password":
            known = credentials(tenant)
            if (form.get("username"), form.get("password")) != (known.username, known.user_password):
                raise OAuthError("invalid_grant", "authentication failure")
            return tenant, self._issue(tenant), None
        if kind != "refresh_token":
            raise OAuthError("unsupported_grant_type", "grant type not supported")
        present = self.generation.get(tenant, 0)
        if form.get("refresh_token") != _refresh_token(tenant, present):
            raise OAuthError("invalid_grant", "expired access/refresh token")
        if not self.rotate:
            return tenant, self._issue(tenant), None
        self.generation[tenant] = present + 1
        return tenant, self._issue(tenant), _refresh_token(tenant, present + 1)

    def _asserted(self, assertion: str) -> str:
        """The tenant whose connected app and user a JWT names, signed with its key ("OAuth 2.0 JWT Bearer Flow"). Raises OAuthError."""
        for tenant, key in self.keys.items():
            known = credentials(tenant)
            try:
                claims = jwt_claims(assertion, key, AUDIENCE)
            except ValueError:
                continue
            if (claims.get("iss"), claims.get("sub")) == (known.client_id, known.username):
                return tenant
        raise OAuthError("invalid_grant", "invalid assertion")

    def _client(self, form: dict[str, str]) -> str:
        for tenant in self.tenants:
            known = credentials(tenant)
            if form.get("client_id") == known.client_id:
                if form.get("client_secret") != known.client_secret:
                    raise OAuthError("invalid_client", "invalid client credentials")
                return tenant
        raise OAuthError("invalid_client_id", "client identifier invalid")

    def _issue(self, tenant: str) -> str:
        self._issued += 1
        mark = hashlib.sha256(f"{tenant}{self._issued}{time.time_ns()}".encode()).hexdigest()
        token = f"00DSb0000000001!{mark[:32]}"
        self._access[token] = (tenant, time.monotonic() + self.lifetime)
        return token

    def tenant_of(self, authorization: str) -> str | None:
        """The tenant of a Salesforce `Authorization` header, None if the token is unknown or expired."""
        tenant, ends = self._access.get(authorization.removeprefix("Bearer "), ("", 0.0))
        return tenant if tenant and time.monotonic() < ends else None

    def app(self, form: dict[str, str]) -> tuple[str, str]:
        """(access token, refresh token) of a HubSpot app for a refresh token, which stays. Raises OAuthError."""
        tenant = self._client(form)
        if form.get("grant_type") != "refresh_token":
            raise OAuthError("unsupported_grant_type", "grant type not supported")
        if form.get("refresh_token") != credentials(tenant).refresh_token:
            raise OAuthError("invalid_grant", "missing or unknown refresh token")
        return self._issue(tenant), str(form["refresh_token"])

    def portal_of(self, authorization: str) -> str | None:
        """The tenant of a HubSpot private-app token, or of an app's access token; None if unknown."""
        given = authorization.removeprefix("Bearer ")
        if given in self._access:
            return self.tenant_of(authorization)
        return next((tenant for tenant in self.tenants if credentials(tenant).hubspot_token == given), None)

    def expire(self, tenant: str | None = None) -> None:
        """End all access tokens, or those of one tenant; refresh tokens stay."""
        self._access = {token: entry for token, entry in self._access.items() if tenant and entry[0] != tenant}
