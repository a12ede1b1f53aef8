"""Login and password that never travel: an answer to the server's challenge does (RFC 7616)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit, urlunsplit

from pydantic import Field
from requests.auth import HTTPDigestAuth
from requests.utils import parse_dict_header

from spine.http.auth.aws_sigv4 import canonical_query
from spine.http.auth.signing import Account, Auth, Signer, with_header
from spine.http.auth.values import Value, filled, looking_up
from spine.http.transport import Request, Response


class DigestAuth(Auth):
    """Login and password of the Connection as an answer to what the server asks for; its first request is refused, and tells that.

    Example:
        type: digest
    """

    labels: ClassVar[dict[str, str]] = {"login": "User", "password": "Password"}
    type: Literal["digest"] = "digest"
    login: Value = Field(default="{login}", description="The name")
    password: Value = Field(default="{password}", description="The password")

    def signer(self, account: Account) -> Signer:
        """Signs with the Connection's login and password."""
        lookup = looking_up(account.credentials)
        return Digest(filled(self.login, lookup), filled(self.password, lookup))


class Digest(Signer):
    """Answers challenges; one is good for many requests, until the server gives another."""

    def __init__(self, login: str, password: str) -> None:
        self._answers: Any = HTTPDigestAuth(login, password)
        self._challenge: dict[str, str] = {}

    def sign(self, request: Request) -> Request:
        """The request with an answer to the last challenge; as it is before there was one."""
        if not self._challenge:
            return request
        # What is answered is the address as it is sent, so that its parameters are written before.
        parts = urlsplit(request.url)
        request = replace(request, url=urlunsplit(parts._replace(query=canonical_query(request))), params={}, secret_params={})
        self._answers.init_per_thread_state()
        self._answers._thread_local.chal = self._challenge
        answer = self._answers.build_digest_header(request.method, request.url)
        return with_header(request, "Authorization", answer) if answer else request

    def renew(self, request: Request, response: Response) -> bool:
        """Take a new challenge; False where the answer to one was refused that still holds."""
        found = _challenge(response.headers.get("www-authenticate", "")) if response.status == 401 else {}
        if not found.get("nonce"):
            return False
        answered = "Authorization" in request.secret_headers
        self._challenge, before = found, self._challenge
        return not answered or found.get("stale", "").lower() == "true" or found["nonce"] != before.get("nonce")


def _challenge(header: str) -> dict[str, str]:
    """The first challenge of this kind in a header, which may hold others before it."""
    at = header.lower().find("digest ")
    read: Any = parse_dict_header
    return dict(read(header[at + len("digest ") :])) if at >= 0 else {}
