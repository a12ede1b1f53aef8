"""A login that gives a session's token, kept for all workers until it ends."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar, Literal

import orjson
from pydantic import Field, model_validator

from spine.core.declarations import refuse
from spine.core.errors import SourceUnavailable
from spine.core.texts import Duration
from spine.core.tokens import Token
from spine.http.auth.asking import TokenRequest, endpoint
from spine.http.auth.signing import Account, Auth, Signer
from spine.http.auth.tokens import Renewing
from spine.http.auth.values import Send, Value
from spine.http.transport import Response

_LONGEST = 4096  # bytes of a cookie: RFC 6265bis, 5.6


class LoginRequest(TokenRequest):
    """How we log in: user and password as JSON, unless the file says otherwise."""

    encoding: Literal["form", "json", "query"] = Field(default="json", description="How the fields are sent")
    client: Literal["body", "basic", "id", "none"] = Field(default="none", description="Where client id and secret go")
    fields: dict[str, Value | None] = Field(
        default={"username": "{login}", "password": "{password}"}, description="The fields; they stand in place of the usual ones"
    )


class SessionAuth(Auth):
    """Logs in once, for all workers, and sends the session's token along; logs in again when it is refused or ends.

    The token is in the answer (`request.token`), or in one of its headers (`token_header`) or cookies (`token_cookie`).

    Example:
        type: session
        login_path: /api/session
        request: {token: id, fields: {user: "{login}", password: "{password}"}}
        send: {headers: {X-Session: "{token}"}}
    """

    labels: ClassVar[dict[str, str]] = {"login": "User", "password": "Password"}
    type: Literal["session"] = "session"
    login_path: Value = Field(description="Where we log in, below the Connection's host or whole")
    request: LoginRequest = Field(default_factory=LoginRequest, description="How we log in, and where the answer has the token")
    token_header: str | None = Field(default=None, description="The header of the answer that has the token")
    token_cookie: str | None = Field(
        default=None, description="The cookie of the answer that is the token; sent as that cookie unless `send` is given"
    )
    refused: tuple[int, ...] = Field(default=(401,), description="Statuses by which the source says that a session has ended")
    lifetime: Duration | None = Field(default=None, gt=timedelta(), description="How long a session lives whose answer does not say")
    send: Send | None = Field(default=None, description="Where the token travels: headers, params, cookies, body")

    @model_validator(mode="after")
    def _one_place(self) -> SessionAuth:
        if self.token_header and self.token_cookie:
            refuse(type(self), [(("token_cookie",), "the token is in a header or in a cookie")])
        if self.send is None and not self.token_cookie:
            refuse(type(self), [(("send",), 'say where the token travels, as `headers: {X-Session: "{token}"}`')])
        return self

    def signer(self, account: Account) -> Signer:
        """Signs with the session's token."""
        send = self.send or Send(cookies={str(self.token_cookie): "{token}"})
        return Renewing(account, send, lambda current: self._log_in(account), self.refused)

    def _log_in(self, account: Account) -> Token:
        asked = self.request.model_copy(update={"lifetime": self.request.lifetime or self.lifetime})
        url = endpoint(self.login_path, account.credentials, "login_url")
        response = account.send(asked.request(url, {}, account))
        connection = account.credentials.connection
        if not self.token_header and not self.token_cookie:
            return asked.token_of(response, connection=connection)
        found = response.headers.get(self.token_header or "") if self.token_header else cookie_of(response, str(self.token_cookie))
        if not found and response.status < 300:
            raise SourceUnavailable("the login gave no session", connection=connection)
        content = response.json() if response.body.lstrip()[:1] == b"{" else {}
        body = orjson.dumps({**_object(content), "__token": found})
        status = 200 if found and response.status in (302, 303) else response.status  # a form's login leads on to a page
        told = Response(status, response.headers, body, response.place, response.url)
        return asked.model_copy(update={"token": "__token"}).token_of(told, connection=connection)


def cookie_of(response: Response, name: str) -> str | None:
    """The value of a cookie that an answer sets, None without one and for one longer than a browser would keep.

    Several are in one header, divided by commas. Not by `http.cookies`, which takes the square of a quoted value's length.
    """
    for part in _cookies(response.headers.get("set-cookie", "")):
        pair = part.partition(";")[0]
        found, _, value = pair.partition("=")
        if found.strip() == name and len(pair) <= _LONGEST:
            value = value.strip()
            quoted = len(value) > 1 and value[0] == value[-1] == '"'
            return (value[1:-1] if quoted else value) or None
    return None


def _cookies(said: str) -> list[str]:
    """The cookies of a joined header: a comma of a date is followed by no name and `=`."""
    parts: list[list[str]] = []
    for part in said.split(","):
        if parts and "=" not in part.partition(";")[0]:
            parts[-1].append(part)
        else:
            parts.append([part.strip()])
    return [",".join(each) for each in parts]


def _object(content: Any) -> dict[str, Any]:
    return content if isinstance(content, dict) else {}
