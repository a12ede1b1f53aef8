"""An authorization server that trusts nobody: it rotates refresh tokens, ends a grant whose old token comes again, and fails in every way.

Follows RFC 6749, 7636, 7521 to 7523, 8628 and the counsel of RFC 9700. `GET /authorize` agrees at once, as a person would.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, unquote_plus, urlencode, urlsplit

import orjson

from spine.sandbox import assertions

CLIENT, SECRET = "client-1", "client secret/+=&"  # pragma: allowlist secret
USER, PASSWORD = "ada", "pass word&="  # pragma: allowlist secret
Answer = tuple[int, Any, Mapping[str, str]]
JSON: Mapping[str, str] = {"Content-Type": "application/json"}


class Refused(Exception):
    """A refused token request, as RFC 6749, 5.2 has it."""

    def __init__(self, error: str, status: int = 400) -> None:
        self.error, self.status = error, status
        super().__init__(error)


# In how many ways endpoints say no, or nothing: status, body, headers.
FAULTS: dict[str, Answer] = {
    "html": (200, b"<html><title>Please log in</title></html>", {"Content-Type": "text/html"}),
    "empty": (200, b"", {}),
    "list": (200, [], JSON),
    "null token": (200, {"access_token": None, "expires_in": 3600}, JSON),
    "object token": (200, {"access_token": {"value": "x"}}, JSON),
    "token with a line break": (200, {"access_token": "a\r\nX-Evil: 1"}, JSON),
    "200 with error": (200, {"error": "invalid_grant", "error_description": "gone"}, JSON),
    "200 and not ok": (200, {"ok": False, "error": "invalid_refresh_token"}, JSON),
    "error as object": (400, {"error": {"code": 190, "message": "expired", "type": "OAuthException"}}, JSON),
    "form": (200, b"error=bad_refresh_token&error_description=x", {"Content-Type": "application/x-www-form-urlencoded"}),
    "401 with challenge": (401, {"error": "invalid_client"}, {**JSON, "WWW-Authenticate": 'Basic realm="x"'}),
    "400 text": (400, b"nope", {"Content-Type": "text/plain"}),
    "403": (403, {"message": "Forbidden"}, JSON),
    "redirect": (302, b"", {"Location": "/login"}),
    "429": (429, {"error": "slow_down"}, {**JSON, "Retry-After": "7"}),
    "400 slow down": (400, {"error": "slow_down"}, JSON),
    "400 but passing": (400, {"error": "temporarily_unavailable"}, JSON),
    "500 html": (500, b"<html>oops</html>", {"Content-Type": "text/html"}),
    "503": (503, b"", {"Retry-After": "3"}),
    "cut": (200, b'{"access_token": "abc', JSON),
}


@dataclass
class Grant:
    """What a person or a client was given: its refresh tokens, of which the last one counts."""

    subject: str
    refresh: str = ""
    used: set[str] = field(default_factory=set)
    alive: bool = True


@dataclass
class OAuthServer:
    """Runs in a thread on this machine. Seconds; `fault` is a word of FAULTS for the next `faults` token requests.

    `key` and `secret_of_jwt` are what assertions are checked with, `public` lets the client come without a secret.
    """

    lifetime: float = 3600.0
    refresh_lifetime: float | None = None
    rotates: bool = True
    public: bool = False
    fault: str = ""
    faults: int = 0
    denies: bool = False
    interval: float = 1.0
    key: Any = None
    said: list[dict[str, str]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.codes: dict[str, dict[str, str]] = {}
        self.devices: dict[str, dict[str, Any]] = {}
        self.access: dict[str, tuple[Grant, float]] = {}
        self.grants: list[Grant] = []
        self.asked = 0
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def granted(self, subject: str = USER) -> str:
        """A refresh token, as if somebody had agreed."""
        return str(self._tokens(Grant(subject))["refresh_token"])

    def serve(self, method: str, path: str, query: dict[str, str], form: dict[str, str], headers: dict[str, str]) -> Answer:
        """One answer."""
        with self._lock:
            if path == "/authorize":
                return self._authorize(query)
            if path == "/activate":
                return self._activate(query)
            if path in ("/token", "/device", "/login"):
                self.asked += 1
                self.said.append(form or query)
                self.headers.append(headers)
                if self.fault and self.faults > 0:
                    self.faults -= 1
                    return FAULTS[self.fault]
                return self._refusable({"/token": self._token, "/device": self._device, "/login": self._log_in}[path], form, headers)
            return self._resource(headers)

    def _refusable(self, do: Callable[[dict[str, str], dict[str, str]], Answer], form: dict[str, str], headers: dict[str, str]) -> Answer:
        try:
            return do(form, headers)
        except Refused as refused:
            return refused.status, {"error": refused.error, "error_description": f"refused {form}"}, JSON

    def _authorize(self, query: dict[str, str]) -> Answer:
        target = query.get("redirect_uri", "")
        if query.get("client_id") != CLIENT or urlsplit(target).hostname not in ("127.0.0.1", "localhost"):
            return 400, b"unknown client or address", {}
        if self.denies:
            return 302, b"", {"Location": f"{target}?{urlencode({'error': 'access_denied', 'state': query.get('state', '')})}"}
        code = secrets.token_urlsafe(16)
        self.codes[code] = {**query, "until": str(time.time() + 60)}
        return 302, b"", {"Location": f"{target}?{urlencode({'code': code, 'state': query.get('state', '')})}"}

    def _client(self, form: dict[str, str], headers: dict[str, str]) -> None:
        """Raise Refused unless the client is who it says, by Basic credentials, by fields, or by an assertion."""
        said = headers.get("authorization", "")
        if said.startswith("Basic "):
            name, _, secret = (unquote_plus(part) for part in base64.b64decode(said[6:]).decode().partition(":"))
        elif form.get("client_assertion"):
            name, secret = str(self._claims(form["client_assertion"])["sub"]), SECRET
        else:
            name, secret = form.get("client_id", ""), form.get("client_secret", "")
        if name != CLIENT or not (hmac.compare_digest(secret.encode(), SECRET.encode()) or (self.public and not secret)):
            raise Refused("invalid_client", 401)

    def _claims(self, assertion: str) -> dict[str, Any]:
        try:
            return assertions.jwt_claims(assertion, self.key, f"{self.url}/token")
        except ValueError:
            raise Refused("invalid_grant") from None

    def _token(self, form: dict[str, str], headers: dict[str, str]) -> Answer:
        kind = form.get("grant_type", "").rpartition(":")[2]
        if kind == "jwt-bearer":
            claims = self._claims(form.get("assertion", ""))
            return 200, self._tokens(Grant(str(claims.get("sub") or claims["iss"])), refresh=False), JSON
        if kind == "saml2-bearer":
            try:
                subject = assertions.saml_subject(form.get("assertion", ""), self.key, f"{self.url}/token", CLIENT)
            except ValueError:
                raise Refused("invalid_grant") from None
            return 200, self._tokens(Grant(subject), refresh=False), JSON
        self._client(form, headers)
        if kind == "client_credentials":
            return 200, self._tokens(Grant(CLIENT), refresh=False), JSON
        if kind == "password":
            if (form.get("username"), form.get("password")) != (USER, PASSWORD):
                raise Refused("invalid_grant")
            return 200, self._tokens(Grant(USER)), JSON
        makers = {"authorization_code": self._by_code, "refresh_token": self._by_refresh, "device_code": self._by_device}
        if kind not in makers:
            raise Refused("unsupported_grant_type")
        return 200, self._tokens(makers[kind](form)), JSON

    def _by_code(self, form: dict[str, str]) -> Grant:
        asked = self.codes.pop(form.get("code", ""), None)
        if asked is None or float(asked["until"]) < time.time() or asked.get("redirect_uri") != form.get("redirect_uri"):
            raise Refused("invalid_grant")
        if asked.get("code_challenge") or self.public:
            digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
            challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
            if asked.get("code_challenge_method") != "S256" or asked.get("code_challenge") != challenge:
                raise Refused("invalid_grant")
        return Grant(USER)

    def _by_refresh(self, form: dict[str, str]) -> Grant:
        token = form.get("refresh_token", "")
        for grant in self.grants:
            if token in grant.used:
                grant.alive = False  # somebody else has it: RFC 9700, 4.14.2
                raise Refused("invalid_grant")
            if token and token == grant.refresh and grant.alive:
                return grant
        raise Refused("invalid_grant")

    def _device(self, form: dict[str, str], headers: dict[str, str]) -> Answer:
        self._client(form, headers)
        code, user = secrets.token_urlsafe(16), secrets.token_hex(4).upper()
        self.devices[code] = {"user_code": user, "state": "pending", "asked": 0.0}
        told = {
            "device_code": code,
            "user_code": user,
            "verification_uri": f"{self.url}/activate",
            "expires_in": 30,
            "interval": self.interval,
        }
        return 200, told, JSON

    def _activate(self, query: dict[str, str]) -> Answer:
        for device in self.devices.values():
            if device["user_code"] == query.get("user_code"):
                device["state"] = "denied" if self.denies else "agreed"
                return 200, b"thanks", {}
        return 404, b"", {}

    def _by_device(self, form: dict[str, str]) -> Grant:
        device = self.devices.get(form.get("device_code", ""))
        if device is None:
            raise Refused("expired_token")
        early, device["asked"] = time.monotonic() - device["asked"] < self.interval * 0.9, time.monotonic()
        if early:
            raise Refused("slow_down")
        if device["state"] != "agreed":
            raise Refused("access_denied" if device["state"] == "denied" else "authorization_pending")
        del self.devices[form["device_code"]]
        return Grant(USER)

    def _tokens(self, grant: Grant, *, refresh: bool = True) -> dict[str, Any]:
        access = secrets.token_urlsafe(16)
        self.access[access] = (grant, time.time() + self.lifetime)
        told: dict[str, Any] = {"access_token": access, "token_type": "Bearer", "expires_in": self.lifetime, "subject": grant.subject}
        if refresh and (self.rotates or not grant.refresh):
            if grant.refresh:
                grant.used.add(grant.refresh)
            else:
                self.grants.append(grant)
            grant.refresh = told["refresh_token"] = secrets.token_urlsafe(16)
            told |= {"refresh_token_expires_in": self.refresh_lifetime} if self.refresh_lifetime else {}
        return told

    def _log_in(self, form: dict[str, str], headers: dict[str, str]) -> Answer:
        if (form.get("username"), form.get("password")) != (USER, PASSWORD):
            raise Refused("bad login", 401)
        session = str(self._tokens(Grant(USER), refresh=False)["access_token"])
        cookies = f"theme=dark; Expires=Wed, 21 Oct 2099 07:28:00 GMT; Path=/\nSID={session}; Path=/; HttpOnly"
        return 200, {"data": {"session": session}}, {**JSON, "X-Session": session, "Set-Cookie": cookies}

    def _resource(self, headers: dict[str, str]) -> Answer:
        cookies = dict(part.strip().partition("=")[::2] for part in headers.get("cookie", "").split(";"))
        token = headers.get("authorization", "").removeprefix("Bearer ") or headers.get("x-session", "") or cookies.get("SID", "")
        grant, until = self.access.get(token, (Grant("", alive=False), 0.0))
        if not grant.alive or until < time.time():
            return 401, {"error": "invalid_token"}, {**JSON, "WWW-Authenticate": 'Bearer error="invalid_token"'}
        return 200, {"subject": grant.subject}, JSON


def _handler(server: OAuthServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            kind = self.headers.get("content-type", "")
            form = orjson.loads(body) if "json" in kind and body else dict(parse_qsl(body.decode()))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, content, more = server.serve(self.command, parts.path, dict(parse_qsl(parts.query)), form, headers)
            content = content if isinstance(content, bytes) else orjson.dumps(content)
            self.send_response(status)
            for name, value in {**more, "Content-Length": str(len(content))}.items():
                for line in value.split("\n"):  # cookies have a header each
                    self.send_header(name, line)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = _serve

        def log_message(self, *args: Any) -> None:
            """Nothing: what it is told are secrets."""

    return Handler
