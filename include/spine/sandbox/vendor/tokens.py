"""Guards of vendors that give out tokens: each kind of token endpoint, and logins."""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import timedelta
from typing import Any

from spine.core import clock
from spine.http.auth import Credentials
from spine.http.auth.asking import TokenRequest, basic, endpoint
from spine.http.auth.jwt_bearer import JwtBearerAuth
from spine.http.auth.oauth2 import OAuth2Auth, TokenAuth
from spine.http.auth.odoo_rpc import OdooRpcAuth
from spine.http.auth.saml_bearer import SamlBearerAuth
from spine.http.auth.session import SessionAuth
from spine.http.auth.values import Send, filled, looking_up
from spine.sandbox.vendor.accounts import public_key
from spine.sandbox.vendor.calls import Answer, Call
from spine.sandbox.vendor.guards import Guard, carries, fresh, guards, same_place, signed_by
from spine.sandbox.vendor.writing import put

_LIFE = 3600


class Issuer(Guard):
    """Gives out tokens and knows which of them are good."""

    def __init__(self, auth: Any, credentials: Credentials) -> None:
        super().__init__(auth, credentials)
        self.good: dict[str, dict[str, str]] = {}
        self.given: list[str] = []
        self.asked = 0

    @property
    def send(self) -> Send:
        """Where a token travels."""
        found: Send = self.auth.send
        return found

    @property
    def secrets(self) -> list[str]:
        """All that were given out."""
        return self.given

    def expire(self) -> bool:
        """No token is good any more."""
        self.good.clear()
        return True

    def passes(self, call: Call) -> bool:
        """One of the good tokens is where it belongs."""
        return any(carries(call, self.send, looking_up(self.credentials, {"token": token, **kept})) for token, kept in self.good.items())

    def issued(self, request: TokenRequest) -> tuple[str, Any]:
        """A new token, and the answer that holds it."""
        token = fresh("tok")
        kept = {f"token.{name}": "kept" for name in request.keep}
        self.good[token] = kept
        self.given.append(token)
        content = put(request.token, {"token_type": "Bearer"}, token)
        if request.expires == "expires_in" or request.expires_as != "seconds":
            content = put(request.expires, content, _end(request))
        for path in request.keep.values():
            content = put(path, content, "kept")
        return token, content


def _end(request: TokenRequest) -> Any:
    at = clock.now() + timedelta(seconds=_LIFE)
    told: dict[str, Any] = {
        "seconds": _LIFE, "milliseconds": _LIFE * 1000, "epoch": int(at.timestamp()), "epoch_milliseconds": int(at.timestamp() * 1000),
        "time": clock.to_text(at),
    }  # fmt: skip
    return told[request.expires_as]


def asked_fields(request: TokenRequest, call: Call) -> dict[str, Any]:
    """The fields of a question to a token endpoint, by its encoding."""
    if request.encoding == "json":
        return call.json if isinstance(call.json, dict) else {}
    return dict(call.query) if request.encoding == "query" else call.form


def lacks(request: TokenRequest, call: Call, credentials: Credentials) -> bool:
    """Whether a question does not say who asks, or lacks a field that the file names."""
    fields, lookup = asked_fields(request, call), looking_up(credentials)
    wanted: dict[str, Any] = {name: filled(text, lookup) for name, text in request.fields.items() if text is not None}
    if request.client in ("body", "id") and "client_id" not in request.fields:
        wanted["client_id"] = credentials.login
    if request.client == "body" and "client_secret" not in request.fields:
        wanted["client_secret"] = credentials.password
    headers = {name.lower(): filled(text, lookup) for name, text in request.headers.items()}
    if request.client == "basic":
        headers["authorization"] = basic(credentials.login, credentials.password)
    return (
        call.method != request.method
        or any(fields.get(name) != value for name, value in wanted.items())
        or any(call.headers.get(name) != value for name, value in headers.items())
    )


class TokenEndpoint(Issuer):
    """A token endpoint; a kind says by `takes` whether it takes what is offered."""

    auth: TokenAuth

    def takes(self, fields: dict[str, Any]) -> bool:
        """Whether it does."""
        raise NotImplementedError

    def endpoint(self, call: Call) -> Answer | None:
        """A token, or what RFC 6749 has for a refusal."""
        if not same_place(call, self.auth.token_url(self.credentials)):
            return None
        self.asked += 1
        request = self.auth.request
        if lacks(request, call, self.credentials):
            return Answer.of({"error": "invalid_client"}, 401)
        if not self.takes(asked_fields(request, call)):
            return Answer.of({"error": "invalid_grant"}, 400)
        return Answer.of(self.told(self.issued(request)[1]))

    def told(self, content: Any) -> Any:
        """The answer, with what a kind has to add."""
        return content


@guards(OAuth2Auth)
class OAuth2(TokenEndpoint):
    """The grants of RFC 6749. Refresh tokens rotate: one is good once."""

    auth: OAuth2Auth

    def __init__(self, auth: OAuth2Auth, credentials: Credentials) -> None:
        super().__init__(auth, credentials)
        self.refresh = str(credentials.extra.get("refresh_token") or "")

    @property
    def refreshes(self) -> bool:
        """Whether the grant is a refresh token."""
        return self.auth.grant not in ("client_credentials", "password")

    def takes(self, fields: dict[str, Any]) -> bool:
        """The right grant with the right proof."""
        if self.auth.grant == "password":
            wanted = {"username": self.credentials.value("username"), "password": self.credentials.value("user_password")}
            return all(fields.get(name) == value for name, value in wanted.items())
        if not self.refreshes:
            return str(fields.get("grant_type")) == "client_credentials" or "grant_type" in self.auth.request.fields
        return bool(self.refresh) and bool(fields.get("refresh_token") == self.refresh)

    def told(self, content: Any) -> Any:
        """With the next refresh token."""
        if not self.refreshes:
            return content
        self.refresh = fresh("ref")
        self.given.append(self.refresh)
        return put(self.auth.request.refresh, content, self.refresh)


@guards(JwtBearerAuth)
class Asserted(TokenEndpoint):
    """An assertion that the client's key has signed (RFC 7523)."""

    auth: JwtBearerAuth

    offered = ""

    def endpoint(self, call: Call) -> Answer | None:
        """A token, for an assertion in the question or before it."""
        self.offered = call.headers.get("authorization", "").removeprefix("Bearer ")
        return super().endpoint(call)

    def takes(self, fields: dict[str, Any]) -> bool:
        """It is signed, and not over."""
        field = "client_assertion" if self.auth.use == "client" else "assertion"
        token = self.offered if self.auth.use == "bearer" else fields.get(field, "")
        claims = signed_by(self.auth.jwt, self.credentials, str(token))
        return claims is not None and bool(claims.get("iss")) and "exp" in claims


@guards(SamlBearerAuth)
class Saml(TokenEndpoint):
    """A SAML assertion (RFC 7522), whose digest and signature are checked."""

    auth: SamlBearerAuth

    def takes(self, fields: dict[str, Any]) -> bool:
        """It is whole and signed."""
        given = str(fields.get("assertion", ""))
        if self.auth.assertion:
            return bool(given)
        text = base64.urlsafe_b64decode(given + "=" * (-len(given) % 4)).decode()
        signature = re.search(r"<ds:Signature .*?</ds:Signature>", text, re.DOTALL)
        return signature is not None and _signed(text.replace(signature[0], ""), signature[0])


def _signed(content: str, signature: str) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
    info, value = re.search(r"<ds:SignedInfo>.*?</ds:SignedInfo>", signature), re.search(r"<ds:SignatureValue>(.*?)<", signature)
    space = re.search(r'xmlns:ds="[^"]+"', signature)
    if info is None or value is None or space is None or f"<ds:DigestValue>{digest}<" not in info[0]:
        return False
    canonical = info[0].replace("<ds:SignedInfo>", f"<ds:SignedInfo {space[0]}>", 1)
    try:
        public_key("RS256").verify(base64.b64decode(value[1]), canonical.encode(), padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return False
    return True


@guards(SessionAuth)
class Session(Issuer):
    """A login that gives a session's token, in the answer, a header or a cookie."""

    auth: SessionAuth

    def __init__(self, auth: SessionAuth, credentials: Credentials) -> None:
        super().__init__(auth, credentials)
        self.refusal = auth.refused[0]

    @property
    def send(self) -> Send:
        """Where the session's token travels."""
        return self.auth.send or Send(cookies={str(self.auth.token_cookie): "{token}"})

    def endpoint(self, call: Call) -> Answer | None:
        """The login."""
        if not same_place(call, endpoint(self.auth.login_path, self.credentials, "login_url")):
            return None
        self.asked += 1
        if lacks(self.auth.request, call, self.credentials):
            return Answer.of({"message": "wrong user or password"}, 403)
        if not self.auth.token_header and not self.auth.token_cookie:
            return Answer.of(self.issued(self.auth.request)[1])
        token = fresh("ses")
        self.good[token] = {}
        self.given.append(token)
        if self.auth.token_header:
            return Answer.of({}, 200, **{self.auth.token_header: token})
        return Answer.of({}, 200, **{"Set-Cookie": f"{self.auth.token_cookie}={token}; Path=/; HttpOnly"})


@guards(OdooRpcAuth)
class OdooRpc(Guard):
    """A login that gives the user's number, and calls that have it among their arguments; what is in their envelope is the file's body."""

    auth: OdooRpcAuth
    number = 7

    def endpoint(self, call: Call) -> Answer | None:
        """The login. Of another call the envelope is taken off."""
        said = call.json if isinstance(call.json, dict) else {}
        params = said.get("params") if said.get("method") == "call" else None
        if not isinstance(params, dict) or not isinstance(params.get("args"), list):
            return None
        lookup = looking_up(self.credentials)
        who = [filled(self.auth.database, lookup), self.credentials.login, self.credentials.password]
        if params.get("service") == "common":
            return Answer.of({"jsonrpc": "2.0", "id": said.get("id"), "result": self.number if params["args"] == who else False})
        database, number, key, model, method, _, kwargs = params["args"]
        vars(call)["json"] = {"model": model, "method": method, "kwargs": kwargs}
        vars(call)["judged"] = [database, number, key] == [who[0], self.number, who[2]]
        return None

    def passes(self, call: Call) -> bool:
        """Whether the arguments were those of the user."""
        return bool(vars(call).get("judged"))
