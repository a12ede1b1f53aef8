"""The account that a vendor made from a file has: what a Connection to it holds, and which of that is secret."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from uuid import uuid4

from spine.core.placeholders import names_in
from spine.http.auth import Auth, Credentials
from spine.http.auth.jwt import JwtAuth
from spine.http.auth.jwt_bearer import JwtBearerAuth
from spine.http.auth.jwts import Jwt
from spine.http.auth.oauth2 import OAuth2Auth
from spine.http.auth.saml_bearer import SamlBearerAuth
from spine.http.auth.values import Value
from spine.sources.spec import Source, Variable

_SECRET = re.compile(r"(?i)secret|token|key|pass|assertion")
_NAMED: dict[str, Any] = {"region": "eu-west-1", "token_id": "an-id"}
_SAMPLES: dict[str, Any] = {
    "integer": 7, "number": 7, "boolean": True, "date": "now-40d", "time": "now-40d", "duration": "10d", "list": ["one", "two"],
}  # fmt: skip


@dataclass(frozen=True)
class Holder:
    """What a Connection holds; `secrets` must be seen nowhere."""

    login: str
    password: str = field(repr=False)
    extra: Mapping[str, Any] = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)

    def credentials(self, base_url: str, connection: str = "") -> Credentials:
        """For signing."""
        return Credentials(base_url, self.login, self.password, self.extra, connection)


def holder_of(source: Source) -> Holder:
    """A new account with everything that the source asks a Connection for."""
    named = set(names_in([source.host or "", *source.hosts, *source.open_hosts, *source.headers.values()]))
    extra: dict[str, Any] = {
        name: sample(variable) for name, variable in source.variables.items() if _lacks(variable) or (variable.optional and name in named)
    }
    whole = (source.host or "").partition("://")[2].partition("/")[0].strip("{}")  # a variable that is the whole name of the host
    extra |= {whole: "acme.example"} if whole in extra else {}
    auths = [source.auth, *(stream.auth for stream in source.streams if stream.auth is not None)]
    secrets = [f"sEcReT{uuid4().hex}"]
    password = secrets[0]
    for auth in auths:
        for name in _asked(auth):
            if name not in source.variables and name not in extra:
                secret = bool(_SECRET.search(name)) and name not in _NAMED
                extra[name] = f"sEcReT{uuid4().hex}" if secret else _NAMED.get(name, "acme")
                secrets += [extra[name]] if secret else []
        key, algorithm = _key_of(auth)
        if key and not algorithm.startswith("HS"):
            made = private_key(algorithm)
            secrets.append(made.split("\n")[1])
            if key == "password":
                password = made
            else:
                extra[key] = made
    return Holder(f"user-{uuid4().hex[:6]}", password, extra, tuple(secrets))


def _lacks(variable: Variable) -> bool:
    return (variable.default is None and not variable.optional) or variable.default == []


def sample(variable: Variable) -> Any:
    """A value that a variable may have."""
    if variable.choices:
        return [variable.choices[0]] if variable.type == "list" else variable.choices[0]
    return _SAMPLES.get(variable.type, "acme")


def _asked(auth: Auth) -> Iterator[str]:
    """The names of the extra that an authentication reads."""
    for name in dict.fromkeys(names_in(_texts(auth))):
        if name not in ("login", "password", "base_url", "token") and not name.startswith("token."):
            yield name
    if isinstance(auth, OAuth2Auth) and auth.grant in ("refresh_token", "authorization_code", "device_code"):
        yield "refresh_token"
    elif isinstance(auth, OAuth2Auth) and auth.grant == "password":
        yield from ("username", "user_password")


def _texts(auth: Auth) -> Any:
    return auth.model_dump(exclude={"form", "authorize_params"})


def _key_of(auth: Auth) -> tuple[str, str]:
    """The field of the Connection that holds a private key, and for which algorithm."""
    made = auth.jwt if isinstance(auth, JwtAuth | JwtBearerAuth) else auth if isinstance(auth, SamlBearerAuth) else None
    if made is None or (isinstance(auth, SamlBearerAuth) and auth.assertion):
        return "", ""
    text: Value = made.key
    return next(iter(names_in(text)), ""), made.algorithm if isinstance(made, Jwt) else "RS256"


@lru_cache(maxsize=16)
def private_key(algorithm: str) -> str:
    """A private key in PEM for this algorithm; one for all accounts of a process, since making one takes long."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    curves: dict[str, Any] = {"ES256": ec.SECP256R1, "ES256K": ec.SECP256K1, "ES384": ec.SECP384R1, "ES512": ec.SECP521R1}
    key: Any
    if algorithm == "EdDSA":
        key = ed25519.Ed25519PrivateKey.generate()
    elif algorithm in curves:
        key = ec.generate_private_key(curves[algorithm]())
    else:
        key = rsa.generate_private_key(65537, 2048)
    plain = serialization.NoEncryption()
    text: bytes = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    return text.decode()


def public_key(algorithm: str) -> Any:
    """The public half of that key."""
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    return load_pem_private_key(private_key(algorithm).encode(), None).public_key()
