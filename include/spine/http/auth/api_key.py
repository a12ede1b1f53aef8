"""Keys in headers, parameters, cookies or fields of the body, under the vendor's own names."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from spine.core.declarations import refuse
from spine.http.auth.signing import Account, Auth, Credentials, Signer
from spine.http.auth.values import Send, Value, looking_up
from spine.http.transport import Request


class ApiKeyAuth(Auth):
    """A key, the password of the Connection, in a header, or in the query where `param` is given; `value` writes it another way.

    `send` is for several secrets, and for cookies and bodies: `send: {headers: {X-App: "{login}", X-Key: "{password}"}}`. Names in braces
    are `login`, `password`, or fields of the Connection's extra.

    Example:
        type: api_key
        header: Authorization
        value: Token token={password}
    """

    labels: ClassVar[dict[str, str]] = {"login": "Key id", "password": "API key"}
    type: Literal["api_key", "api-key"] = "api_key"
    header: str = Field(default="X-API-Key", description="The header that carries the key")
    param: str | None = Field(default=None, description="The query parameter that carries it instead")
    value: Value = Field(default="{password}", description="What is written there")
    send: Send | None = Field(default=None, description="Several values: headers, params, cookies, body")

    @model_validator(mode="after")
    def _one_way(self) -> ApiKeyAuth:
        if self.send is not None and (said := self.model_fields_set & {"header", "param", "value"}):
            refuse(type(self), [((name,), "`send` says all of it: leave this out") for name in sorted(said)])
        return self

    @property
    def places(self) -> Send:
        """Where the key travels."""
        if self.send is not None:
            return self.send
        return Send(params={self.param: self.value}) if self.param else Send(headers={self.header: self.value})

    def signer(self, account: Account) -> Signer:
        """Signs with fields of the Connection."""
        return Keys(account.credentials, self.places)


class Keys(Signer):
    """Puts fields of a Connection where they belong."""

    def __init__(self, credentials: Credentials, send: Send) -> None:
        self._lookup, self._send = looking_up(credentials), send
        send.fill(Request("GET", ""), self._lookup)  # so that what lacks is said before anything is asked

    def sign(self, request: Request) -> Request:
        """The request with the keys."""
        return self._send.fill(request, self._lookup)

    def unsigned(self, link: str) -> str:
        """The link without the parameters that carry keys."""
        return self._send.unsigned(link)
