"""Odoo's RPC: who asks is told by the first arguments of each call, and not by a header."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal

from pydantic import Field

from spine.core.errors import AuthFailed
from spine.core.tokens import Token
from spine.http.auth.asking import TokenRequest, content_of, endpoint
from spine.http.auth.signing import Account, Auth, Signer
from spine.http.auth.tokens import Renewing
from spine.http.auth.values import Lookup, Send, Value, filled, looking_up
from spine.http.transport import Request

_NUMBER = "to_string(result)"  # JMESPath of the user's number in the answer to a login


def called(service: str, method: str, arguments: list[Any]) -> dict[str, Any]:
    """A call of JSON-RPC 2.0, in the envelope of Odoo."""
    return {"jsonrpc": "2.0", "method": "call", "id": 1, "params": {"service": service, "method": method, "args": arguments}}


class OdooRpcAuth(Auth):
    """Logs in once for the number of the user, and makes of each body a call of JSON-RPC with database, user and key before its arguments.

    A stream's body says `model`, `method` and `kwargs`. The password may be an API key, which Odoo takes in its place.

    Example:
        type: odoo_rpc
        database: "{database}"
    """

    labels: ClassVar[dict[str, str]] = {"login": "User", "password": "Password or API key", "extra.database": "Database"}
    type: Literal["odoo_rpc"] = "odoo_rpc"
    login_path: Value = Field(default="/jsonrpc", description="Where calls go, below the Connection's host or whole")
    database: Value = Field(default="{database}", description="The database")

    def signer(self, account: Account) -> Signer:
        """Signs with the user's number, which the login gives."""
        return Renewing(account, _Arguments(database=self.database), lambda current: self._log_in(account))

    def _log_in(self, account: Account) -> Token:
        """The user's number. Raises AuthFailed, RateLimited, SourceUnavailable, ConfigError (address)."""
        credentials, lookup = account.credentials, looking_up(account.credentials)
        secret = credentials.needed("password")
        body = called("common", "login", [filled(self.database, lookup), credentials.needed("login"), secret])
        url = endpoint(self.login_path, credentials, "login_url")
        response = account.send(Request("POST", url, json=body, hidden=(secret,), idempotent=True))
        answer = content_of(response)
        if response.status == 200 and isinstance(answer, Mapping) and answer.get("result") is False:
            raise AuthFailed("Odoo refuses user or key", hint="Check them, and the database", connection=credentials.connection)
        return TokenRequest(token=_NUMBER).token_of(response, connection=credentials.connection)


class _Arguments(Send):
    """Where the user's number travels: among the arguments, with the database before it and the key behind."""

    database: Value

    def fill(self, request: Request, lookup: Lookup) -> Request:
        """The request with its body as a call. Raises AuthFailed for a field that the Connection lacks."""
        said, secret = request.json if isinstance(request.json, Mapping) else {}, lookup("password")
        who = [filled(self.database, lookup), int(lookup("token")), secret]
        what = [said.get("model"), said.get("method"), [], said.get("kwargs", {})]
        return replace(request, json=called("object", "execute_kw", who + what), hidden=(*request.hidden, secret))
