"""Access tokens for a SAML assertion (RFC 7522), as vendors of enterprise software have it."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import ClassVar, Literal
from uuid import uuid4

from pydantic import Field

from spine.core import clock
from spine.core.errors import AuthFailed
from spine.core.texts import Duration
from spine.core.tokens import Token
from spine.http.auth.asking import TokenRequest
from spine.http.auth.jwts import pem
from spine.http.auth.oauth2 import TokenAuth
from spine.http.auth.saml import Assertion
from spine.http.auth.signing import Account, Credentials
from spine.http.auth.values import Value, filled, looking_up

_GRANT = "urn:ietf:params:oauth:grant-type:saml2-bearer"


class AssertionRequest(TokenRequest):
    """How the token endpoint is asked: the id tells the client, the assertion who asks."""

    client: Literal["body", "basic", "id", "none"] = Field(default="id", description="Where client id and secret go")


class SamlBearerAuth(TokenAuth):
    """Offers the token endpoint a SAML assertion that the Connection's key has signed.

    `assertion` in place of `key` is for one that somebody else has made (XML, or the whole in base64).

    Example:
        type: saml_bearer
        token_path: /oauth/token
        issuer: "{login}"
        subject: "{user}"
        audience: www.example.com
    """

    labels: ClassVar[dict[str, str]] = {
        # pragma: allowlist nextline secret
        "login": "Client id", "password": "Private key (PEM)", "extra.certificate": "Certificate (PEM)", "extra.user": "User",
    }  # fmt: skip
    type: Literal["saml_bearer", "saml"] = "saml_bearer"
    issuer: Value = Field(default="{login}", description="Who signs")
    subject: Value = Field(default="{user}", description="For whom")
    audience: Value = Field(default="{base_url}", description="Whom it is for")
    attributes: dict[str, Value] = Field(default_factory=dict, description="Further statements")
    name_format: str = Field(default=Assertion.format, description="What the subject's name is")
    key: Value = Field(default="{password}", description="The private RSA key in PEM")
    certificate: Value = Field(default="", description="The certificate in PEM, where the endpoint wants to see it")
    lifetime: Duration = Field(default=timedelta(minutes=10), gt=timedelta(), le=timedelta(days=1), description="How long it is good")
    assertion: Value | None = Field(default=None, description="A whole assertion of the Connection's extra instead, as `{assertion}`")
    request: AssertionRequest = Field(default_factory=AssertionRequest, description="How the token endpoint is asked, and what it answers")

    def offers(self, account: Account, current: Token | None) -> list[dict[str, str]]:
        """A new assertion each time: it lives for minutes only."""
        credentials = account.credentials
        given = filled(self.assertion, looking_up(credentials)) if self.assertion else self._made(credentials)
        text = base64.urlsafe_b64encode(given.encode()).decode().rstrip("=") if given.lstrip().startswith("<") else given
        return [{"grant_type": _GRANT, "assertion": text, **self.scope(credentials)}]

    def _made(self, credentials: Credentials) -> str:
        lookup = looking_up(credentials)
        issuer, subject, audience, key, certificate = (
            filled(text, lookup) for text in (self.issuer, self.subject, self.audience, self.key, self.certificate)
        )
        attributes = {name: filled(text, lookup) for name, text in self.attributes.items()}
        made = Assertion(issuer, subject, audience, self.token_url(credentials), self.lifetime, self.name_format, attributes)
        failed = ""
        try:
            return made.signed(pem(key), pem(certificate), clock.now(), f"_{uuid4().hex}")
        except Exception as error:  # what parses the key may quote it
            failed = type(error).__name__
        raise AuthFailed(
            f"no assertion can be signed with the Connection's key ({failed})",
            hint="Put a private RSA key in PEM, without a password, into the Connection's password",
            connection=credentials.connection,
        )
