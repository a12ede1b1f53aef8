"""Signed JSON Web Tokens (RFC 7519) made from a Connection's fields."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal
from uuid import uuid4

from pydantic import Field

from spine.core import clock
from spine.core.declarations import Strict
from spine.core.errors import AuthFailed, SpineError
from spine.core.texts import Duration
from spine.http.auth.signing import Credentials
from spine.http.auth.values import Value, all_filled, filled, looking_up

Algorithm = Literal[
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES256K", "ES384", "ES512", "EdDSA"
]


class Jwt(Strict):
    """A token that we sign ourselves: who we are (`claims`), and the key. `iat`, `exp` and `jti` are added."""

    algorithm: Algorithm = Field(default="RS256", description="How it is signed; HS… with a shared secret, the others with a private key")
    key: Value = Field(default="{password}", description="The private key in PEM, or the shared secret")
    claims: dict[str, Any] = Field(default_factory=dict, description='What it claims, as `iss: "{login}"`')
    headers: dict[str, Value] = Field(default_factory=dict, description="Further headers of the token, as `kid`")
    lifetime: Duration = Field(default=timedelta(minutes=5), gt=timedelta(), le=timedelta(days=1), description="How long it is good")

    def token(self, credentials: Credentials, more: Mapping[str, Any] | None = None) -> str:
        """The signed token; `more` are claims that its use needs unless the file says them. Raises AuthFailed."""
        import jwt

        lookup, now = looking_up(credentials), clock.now()
        claims = {"iat": int(now.timestamp()), "exp": int((now + self.lifetime).timestamp()), "jti": uuid4().hex}
        claims = {**claims, **(more or {}), **all_filled(self.claims, lookup)}
        claims = {name: value for name, value in claims.items() if value not in (None, "")}
        key, headers = pem(filled(self.key, lookup)), {name: filled(text, lookup) for name, text in self.headers.items()}
        failed: SpineError | None = None
        try:
            return jwt.encode(claims, key, algorithm=self.algorithm, headers=headers or None)
        except Exception as error:  # the library's, and those of the parsers of keys below it: they may quote the key
            failed = AuthFailed(
                f"no {self.algorithm} token can be signed with the Connection's key ({type(error).__name__})",
                hint="Check that it is a key of that kind, in PEM where it is a private one",
                connection=credentials.connection,
            )
        raise failed


def pem(key: str) -> str:
    """A key whose line breaks a form or a JSON file has written as `\\n`, as it was."""
    return key.replace("\\n", "\n").strip() + "\n" if "-----BEGIN" in key else key
