"""A key in a header of the vendor's own or in the query."""

from __future__ import annotations

from typing import Literal
from urllib.parse import unquote_plus, urlsplit, urlunsplit

from pydantic import Field

from spine.http.auth.signing import Account, Auth, Credentials, Signer, with_header, with_param
from spine.http.transport import Request


class ApiKeyAuth(Auth):
    """A key, the password of the Connection, in a header, or in the query where `param` is given.

    Example:
        type: api_key
        header: X-Auth-Key
    """

    type: Literal["api_key"] = "api_key"
    header: str = Field(default="X-API-Key", description="The header that carries the key")
    param: str | None = Field(default=None, description="The query parameter that carries it instead")

    def signer(self, account: Account) -> Signer:
        """Signs with the Connection's password."""
        return ApiKey(account.credentials, self.header, self.param)


class ApiKey(Signer):
    """Puts the key in its header, or in the query when `param` is given."""

    def __init__(self, credentials: Credentials, header: str, param: str | None = None) -> None:
        self._key = credentials.needed("password")
        self._header, self._param = header, param

    def sign(self, request: Request) -> Request:
        """The request with the key."""
        if self._param:
            return with_param(request, self._param, self._key)
        return with_header(request, self._header, self._key)

    def unsigned(self, link: str) -> str:
        """The link without the parameter that carries the key."""
        if not self._param:
            return link
        parts = urlsplit(link)
        kept = [pair for pair in parts.query.split("&") if unquote_plus(pair.partition("=")[0]) != self._param]
        return urlunsplit(parts._replace(query="&".join(kept)))
