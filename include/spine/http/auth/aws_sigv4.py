"""AWS Signature Version 4, as its documentation states it ("Create a signed AWS API request")."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace
from datetime import datetime
from typing import ClassVar, Literal
from urllib.parse import quote, unquote, unquote_plus, urlsplit, urlunsplit

from pydantic import Field

from spine.core import clock
from spine.http.auth.signing import Account, Auth, Signer
from spine.http.auth.values import Value, filled, looking_up
from spine.http.transport import Request


class AwsSigV4Auth(Auth):
    """Signs each request with an access key: its id is the Connection's login, the secret its password.

    Example:
        type: aws_sigv4
        region: "{region}"
        service: logs
    """

    labels: ClassVar[dict[str, str]] = {
        # pragma: allowlist nextline secret
        "login": "Access key id", "password": "Secret access key", "extra.region": "Region", "extra.session_token": "Session token",
    }  # fmt: skip
    type: Literal["aws_sigv4"] = "aws_sigv4"
    service: Value = Field(description="The service's name in signatures, as `logs`, `s3`, `execute-api`")
    region: Value = Field(default="{region}", description="Its region")
    session_token: Value | None = Field(default=None, description="The token of temporary keys, as `{session_token}`")

    def signer(self, account: Account) -> Signer:
        """Signs with the Connection's key."""
        credentials, lookup = account.credentials, looking_up(account.credentials)
        token = filled(self.session_token, lookup) if self.session_token else ""
        key = Key(credentials.needed("login"), credentials.needed("password"), token)
        return SigV4(key, filled(self.region, lookup), filled(self.service, lookup))


class Key:
    """An access key: its id, its secret, and the token of a temporary one."""

    def __init__(self, name: str, secret: str, token: str = "") -> None:
        self.name, self.secret, self.token = name, secret, token


class SigV4(Signer):
    """Signs for one region and service."""

    def __init__(self, key: Key, region: str, service: str) -> None:
        self._key, self._region, self._service = key, region, service

    def sign(self, request: Request) -> Request:
        """The request with the Authorization header."""
        return self.signed(request, clock.now())

    def signed(self, request: Request, moment: datetime) -> Request:
        """As `sign`, at a moment."""
        at = moment.strftime("%Y%m%dT%H%M%SZ")
        digest = hashlib.sha256(request.content or b"").hexdigest()
        headers = {"X-Amz-Date": at} | ({"X-Amz-Security-Token": self._key.token} if self._key.token else {})
        headers |= {"X-Amz-Content-Sha256": digest} if self._service == "s3" else {}
        request = replace(request, secret_headers={**request.secret_headers, **headers})
        told = {name.lower(): " ".join(value.split()) for name, value in _signable(request).items()}
        names = ";".join(sorted(told))
        lines = "".join(f"{name}:{told[name]}\n" for name in sorted(told))
        canonical = "\n".join((request.method, self._path(request), canonical_query(request), lines, names, digest))
        scope = f"{at[:8]}/{self._region}/{self._service}/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{at}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        signature = self._signature(at[:8], text)
        value = f"AWS4-HMAC-SHA256 Credential={self._key.name}/{scope}, SignedHeaders={names}, Signature={signature}"
        hidden = (*request.hidden, *request.secret_params.values(), self._key.secret, signature)
        request = replace(request, secret_headers={**request.secret_headers, "Authorization": value}, hidden=hidden)
        # Parameters go as they were signed: libraries write a blank as `+`.
        return replace(request, url=_with_query(request.url, canonical_query(request)), params={}, secret_params={})

    def _path(self, request: Request) -> str:
        """The path as it is sent, encoded once more, but for S3, which takes it as it is."""
        path = urlsplit(request.url).path or "/"
        once = quote(unquote(path), safe="/-_.~")
        return once if self._service == "s3" else quote(once, safe="/-_.~")

    def _signature(self, day: str, text: str) -> str:
        key = f"AWS4{self._key.secret}".encode()
        for part in (day, self._region, self._service, "aws4_request", text):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        return key.hex()


def canonical_query(request: Request) -> str:
    """All parameters of a request, of its address and its own, strictly encoded and sorted."""
    pairs = [
        (unquote_plus(name), unquote_plus(value))
        for name, _, value in (pair.partition("=") for pair in urlsplit(request.url).query.split("&") if pair)
    ]
    pairs += request.query
    return "&".join(
        f"{name}={value}" for name, value in sorted((quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in pairs)
    )


def _with_query(url: str, query: str) -> str:
    return urlunsplit(urlsplit(url)._replace(query=query, fragment=""))


def _signable(request: Request) -> dict[str, str]:
    """Headers that nothing changes on the way: the host, the content's type, and Amazon's own."""
    kept = {name: value for name, value in request.told.items() if name.lower() == "content-type" or name.lower().startswith("x-amz-")}
    return {"host": urlsplit(request.url).netloc.rpartition("@")[2].lower(), **kept}
