"""How a vendor of each kind of authentication judges a call. A kind that has no guard here is not covered.

Guards check by themselves what signers make: signatures are computed anew from the call as it came.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit
from uuid import uuid4

from spine.http.auth import Auth, Credentials
from spine.http.auth.api_key import ApiKeyAuth
from spine.http.auth.aws_sigv4 import AwsSigV4Auth
from spine.http.auth.basic import BasicAuth
from spine.http.auth.bearer import BearerAuth
from spine.http.auth.digest import DigestAuth
from spine.http.auth.jwt import JwtAuth
from spine.http.auth.jwts import Jwt
from spine.http.auth.none import NoAuth
from spine.http.auth.oauth1 import OAuth1Auth
from spine.http.auth.values import Send, filled, looking_up
from spine.sandbox.vendor.accounts import public_key
from spine.sandbox.vendor.calls import Answer, Call, NotCovered

_GUARDS: dict[type[Auth], type[Guard]] = {}
_HASHES = {"HMAC-SHA1": hashlib.sha1, "HMAC-SHA256": hashlib.sha256, "HMAC-SHA512": hashlib.sha512}


class Guard:
    """Judges the calls of one account. This one lets everything pass; it is the base of the others."""

    refusal = 401

    def __init__(self, auth: Any, credentials: Credentials) -> None:
        self.auth, self.credentials = auth, credentials

    def passes(self, call: Call) -> bool:
        """Whether the call is signed as it must be."""
        return True

    def refused(self) -> Answer:
        """What is said to a call that does not pass."""
        return Answer.of({"message": "unauthorized"}, self.refusal)

    def endpoint(self, call: Call) -> Answer | None:
        """The answer of a token endpoint; None for a call that is none."""
        return None

    def expire(self) -> bool:
        """End what was given out; False if nothing here ever ends."""
        return False

    @property
    def secrets(self) -> list[str]:
        """What was given out and must be seen nowhere."""
        return []


def guards(*kinds: type[Auth]) -> Callable[[type[Guard]], type[Guard]]:
    """Registers the guard of these kinds."""

    def register(guard: type[Guard]) -> type[Guard]:
        _GUARDS.update(dict.fromkeys(kinds, guard))
        return guard

    return register


def guard_of(auth: Auth, credentials: Credentials) -> Guard:
    """The guard of an authentication. Raises NotCovered for a kind that nobody has said it of."""
    kind = next((_GUARDS[kind] for kind in type(auth).__mro__ if kind in _GUARDS), None)
    if kind is None:
        raise NotCovered(f"nobody has said how a server judges auth {auth.type!r}")
    return kind(auth, credentials)


guards(NoAuth)(Guard)


def carries(call: Call, send: Send, facts: Callable[[str], str]) -> bool:
    """Whether a call has each value where it belongs."""
    cookies = {name.strip(): value for name, _, value in (part.partition("=") for part in call.headers.get("cookie", "").split(";"))}
    places: list[tuple[Mapping[str, str], Callable[[str], Any]]] = [
        (send.headers, lambda name: call.headers.get(name.lower())), (send.params, call.param),
        (send.cookies, cookies.get), (send.body, lambda name: _in_body(call, name)),
    ]  # fmt: skip
    return all(found(name) == filled(text, facts) for told, found in places for name, text in told.items())


def _in_body(call: Call, name: str) -> Any:
    return call.json.get(name) if isinstance(call.json, dict) else call.form.get(name)


@guards(ApiKeyAuth)
class Keys(Guard):
    """Fields of the Connection in their places."""

    def passes(self, call: Call) -> bool:
        """All of them are there."""
        return carries(call, self.auth.places, looking_up(self.credentials))


@guards(BearerAuth)
class Bearer(Guard):
    """A fixed token."""

    def passes(self, call: Call) -> bool:
        """It is the one."""
        return call.headers.get("authorization") == f"Bearer {filled(self.auth.value, looking_up(self.credentials))}"


@guards(BasicAuth)
class Basic(Guard):
    """Login and password."""

    def passes(self, call: Call) -> bool:
        """Both are right."""
        lookup = looking_up(self.credentials, {"password": self.credentials.password})
        pair = f"{filled(self.auth.login, lookup)}:{filled(self.auth.password, lookup)}"
        kind, _, told = call.headers.get("authorization", "").partition(" ")
        return kind == "Basic" and base64.b64decode(told).decode() == pair


@guards(DigestAuth)
class Digest(Guard):
    """Answers to a challenge (RFC 7616, SHA-256 and `auth`); a challenge is good until it is replaced."""

    def __init__(self, auth: Any, credentials: Credentials) -> None:
        super().__init__(auth, credentials)
        self.nonce = uuid4().hex

    def passes(self, call: Call) -> bool:
        """The answer is to this challenge, for this call."""
        kind, _, rest = call.headers.get("authorization", "").partition(" ")
        said = {name: value.strip('"') for name, _, value in (part.strip().partition("=") for part in rest.split(", "))}
        if kind != "Digest" or said.get("nonce") != self.nonce or said.get("uri") != call.target:
            return False
        lookup = looking_up(self.credentials)
        secret = _sha(f"{filled(self.auth.login, lookup)}:vendor:{filled(self.auth.password, lookup)}")
        wanted = ":".join((secret, self.nonce, said.get("nc", ""), said.get("cnonce", ""), "auth", _sha(f"{call.method}:{call.target}")))
        return hmac.compare_digest(_sha(wanted), said.get("response", ""))

    def refused(self) -> Answer:
        """The challenge."""
        challenge = f'Digest realm="vendor", qop="auth", algorithm=SHA-256, nonce="{self.nonce}"'
        return Answer.of({"message": "unauthorized"}, 401, **{"WWW-Authenticate": challenge})

    def expire(self) -> bool:
        """Another challenge."""
        self.nonce = uuid4().hex
        return True


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def signed_by(made: Jwt, credentials: Credentials, token: str) -> dict[str, Any] | None:
    """The claims of a token that the Connection's key has signed, None if it has not or they have ended."""
    import jwt

    key = filled(made.key, looking_up(credentials)) if made.algorithm.startswith("HS") else public_key(made.algorithm)
    try:
        return dict(jwt.decode(token, key, algorithms=[made.algorithm], options={"verify_aud": False}))
    except jwt.PyJWTError:
        return None


@guards(JwtAuth)
class SelfSigned(Guard):
    """A token that the client makes."""

    def passes(self, call: Call) -> bool:
        """It is where it belongs, signed, and not over."""
        token = given_token(call, self.auth.send)
        claims = signed_by(self.auth.jwt, self.credentials, token) if token else None
        return claims is not None and "exp" in claims


def given_token(call: Call, send: Send) -> str:
    """The token in a call, empty if there is none."""
    for told, found in ((send.headers, lambda name: call.headers.get(name.lower())), (send.params, call.param)):
        for name, text in told.items():
            before, there, after = text.partition("{token}")
            value = found(name) or ""
            if there and value.startswith(before) and value.endswith(after):
                return str(value[len(before) : len(value) - len(after)])
    return ""


@guards(AwsSigV4Auth)
class SigV4(Guard):
    """A signature of the whole call (AWS Signature Version 4)."""

    def passes(self, call: Call) -> bool:
        """The signature is that of this call."""
        lookup = looking_up(self.credentials)
        head, _, rest = call.headers.get("authorization", "").partition(" ")
        said = {name: value for name, _, value in (part.strip().partition("=") for part in rest.split(","))}
        if head != "AWS4-HMAC-SHA256" or not said.get("Credential", "").startswith(f"{self.credentials.login}/"):
            return False
        day, region, service, _ = said["Credential"].split("/")[1:]
        if (region, service) != (filled(self.auth.region, lookup), filled(self.auth.service, lookup)):
            return False
        names = said["SignedHeaders"].split(";")
        lines = "".join(f"{name}:{call.headers.get(name, '')}\n" for name in names)
        query = "&".join(sorted(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in call.query))
        path = call.path if service == "s3" else quote(call.path, safe="/-_.~")
        digest = hashlib.sha256(call.body).hexdigest()
        canonical = "\n".join((call.method, path, query, lines, ";".join(names), digest))
        scope = f"{day}/{region}/{service}/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{call.headers.get('x-amz-date')}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        key = f"AWS4{self.credentials.password}".encode()
        for part in (*scope.split("/"), text):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        return hmac.compare_digest(key.hex(), said.get("Signature", ""))


@guards(OAuth1Auth)
class OAuth1(Guard):
    """A signature of address and parameters (RFC 5849)."""

    def passes(self, call: Call) -> bool:
        """The signature is that of this call."""
        lookup = looking_up(self.credentials)
        parts = (part.strip().partition("=") for part in call.headers.get("authorization", "").removeprefix("OAuth ").split(","))
        said = {name: unquote(value.strip('"')) for name, _, value in parts}
        signature = said.pop("oauth_signature", "")
        said.pop("realm", None)
        pairs = [*call.query, *said.items()]
        if call.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            pairs += parse_qsl(call.body.decode(), keep_blank_values=True)
        told = "&".join(f"{name}={value}" for name, value in sorted((_strict(name), _strict(value)) for name, value in pairs))
        base = "&".join((call.method, _strict(f"{call.origin}{call.path}"), _strict(told)))
        key = f"{_strict(self.credentials.needed('password'))}&{_strict(filled(self.auth.token_secret, lookup))}"
        if self.auth.method == "PLAINTEXT":
            return signature == key
        made = hmac.new(key.encode(), base.encode(), _HASHES[self.auth.method]).digest()
        return hmac.compare_digest(base64.b64encode(made).decode(), signature)


def _strict(text: str) -> str:
    return quote(text, safe="-._~")


def same_place(call: Call, url: str) -> bool:
    """Whether a call goes to an address."""
    there = urlsplit(url)
    return (call.host, call.path) == (there.netloc, there.path)


def fresh(what: str) -> str:
    """A new secret."""
    return f"{what}-{uuid4().hex}"
