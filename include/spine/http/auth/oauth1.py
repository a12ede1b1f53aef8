"""OAuth 1.0a signatures with a token that is there already (RFC 5849, 3): token-based authentication."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, Literal
from urllib.parse import parse_qsl, quote, urlsplit
from uuid import uuid4

from pydantic import Field

from spine.core import clock
from spine.http.auth.signing import Account, Auth, Signer
from spine.http.auth.values import Value, filled, looking_up
from spine.http.transport import Request

Method = Literal["HMAC-SHA256", "HMAC-SHA1", "HMAC-SHA512", "PLAINTEXT"]
_HASHES = {"HMAC-SHA1": hashlib.sha1, "HMAC-SHA256": hashlib.sha256, "HMAC-SHA512": hashlib.sha512}
_PORTS = {"http": 80, "https": 443}


class OAuth1Auth(Auth):
    """Signs each request with a consumer (login, password) and a token of the extra (`token_id`, `token_secret`).

    Example:
        type: oauth1
        method: HMAC-SHA256
        realm: "{account}"
    """

    labels: ClassVar[dict[str, str]] = {
        # pragma: allowlist nextline secret
        "login": "Consumer key", "password": "Consumer secret", "extra.token_id": "Token id", "extra.token_secret": "Token secret",
    }  # fmt: skip
    type: Literal["oauth1"] = "oauth1"
    method: Method = Field(default="HMAC-SHA256", description="How it is signed")
    realm: Value = Field(default="", description="The realm, which some vendors take for the account")
    token: Value = Field(default="{token_id}", description="The token; empty where a vendor has consumers only")
    token_secret: Value = Field(default="{token_secret}", description="Its secret")

    def signer(self, account: Account) -> Signer:
        """Signs with the Connection's consumer and token."""
        credentials, lookup = account.credentials, looking_up(account.credentials)
        secrets = (credentials.needed("password"), filled(self.token_secret, lookup))
        return OAuth1(credentials.needed("login"), filled(self.token, lookup), secrets, self.method, filled(self.realm, lookup))


class OAuth1(Signer):
    """Signs requests of one consumer and token."""

    def __init__(self, consumer: str, token: str, secrets: tuple[str, str], method: Method, realm: str = "") -> None:
        self._consumer, self._token, self._secrets, self._method, self._realm = consumer, token, secrets, method, realm

    def sign(self, request: Request) -> Request:
        """The request with the Authorization header."""
        return self.signed(request, str(int(clock.now().timestamp())), uuid4().hex)

    def signed(self, request: Request, timestamp: str, nonce: str) -> Request:
        """As `sign`, with a time in seconds since 1970 and a nonce."""
        own = {
            "oauth_consumer_key": self._consumer, "oauth_token": self._token, "oauth_signature_method": self._method,
            "oauth_timestamp": timestamp, "oauth_nonce": nonce, "oauth_version": "1.0",
        }  # fmt: skip
        own = {name: value for name, value in own.items() if value}
        own["oauth_signature"] = self._signature(base_string(request, own))
        head = {"realm": self._realm, **own} if self._realm else own
        value = "OAuth " + ", ".join(f'{name}="{_encoded(value)}"' for name, value in head.items())
        hidden = (*request.hidden, *self._secrets, self._token, own["oauth_signature"])
        return replace(request, secret_headers={**request.secret_headers, "Authorization": value}, hidden=hidden)

    def _signature(self, base: str) -> str:
        key = "&".join(_encoded(secret) for secret in self._secrets)
        if self._method == "PLAINTEXT":
            return key
        return base64.b64encode(hmac.new(key.encode(), base.encode(), _HASHES[self._method]).digest()).decode()


def base_string(request: Request, own: Mapping[str, str]) -> str:
    """What is signed: method, address, and all parameters, those of a form among them (RFC 5849, 3.4.1)."""
    parts = urlsplit(request.url)
    port = "" if parts.port in (None, _PORTS.get(parts.scheme.lower())) else f":{parts.port}"
    host = (parts.hostname or "").lower()
    address = f"{parts.scheme.lower()}://{f'[{host}]' if ':' in host else host}{port}{parts.path or '/'}"
    pairs = [*parse_qsl(parts.query, keep_blank_values=True), *request.query, *own.items()]
    if request.json is None:
        pairs += [*(request.form or {}).items(), *request.secret_body.items()]
    encoded = sorted((_encoded(name), _encoded(value)) for name, value in pairs)
    return "&".join((request.method.upper(), _encoded(address), _encoded("&".join(f"{name}={value}" for name, value in encoded))))


def _encoded(text: str) -> str:
    return quote(text, safe="-._~")
