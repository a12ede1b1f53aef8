"""What every kind of authentication has: words in a source's file, and a signer made from them for one account."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from pydantic import Field

from spine.core.declarations import Strict
from spine.core.errors import AuthFailed
from spine.core.tokens import TokenStore
from spine.http.transport import Request, Response


@dataclass(frozen=True)
class Credentials:
    """What a Connection holds: the address and the secrets of one account."""

    base_url: str
    login: str = ""
    password: str = field(default="", repr=False)
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)
    connection: str = ""

    def needed(self, name: str) -> str:
        """The login or the password. Raises AuthFailed if the Connection has none."""
        value = str(getattr(self, name))
        if not value:
            raise self._lacks(name)
        return value

    def value(self, name: str) -> str:
        """A field: `login`, `password`, `base_url`, or one of the extra, with dots into objects. Raises AuthFailed without it."""
        if name in ("login", "password"):
            return self.needed(name)
        if name == "base_url":
            return self.base_url
        found: Any = self.extra
        for part in name.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
        if isinstance(found, str | int | float) and not isinstance(found, bool) and found != "":
            return str(found)
        raise self._lacks(f"{name} in its extra")

    def _lacks(self, what: str) -> AuthFailed:
        return AuthFailed(f"the Connection has no {what}", hint="Complete the Connection", connection=self.connection)


@dataclass(frozen=True)
class Account:
    """What a signer may need: the credentials, where the account's token is kept, and how to ask a token endpoint."""

    credentials: Credentials
    tokens: TokenStore
    send: Callable[[Request], Response]


class Signer:
    """Signs requests of one account. This one signs nothing; it is the base of the others."""

    def sign(self, request: Request) -> Request:
        """The request as it may be sent; secrets go in `secret_headers` and `secret_params`, which reach no message."""
        return request

    def renew(self, request: Request, response: Response) -> bool:
        """Sees the answer to a signed request: True if it refuses the signature and signing and sending again is worth it."""
        return False

    def unsigned(self, link: str) -> str:
        """A link of the source's without the secret that it repeats, which signing puts back: links are kept where secrets are not."""
        return link


class Auth(Strict):
    """How requests are signed; the secrets are in the Connection. Base of the kinds, whose word is their `type`.

    `labels` say what a kind reads of the Connection: `login`, `password`, `extra.<name>`, each as a person would call it.
    """

    labels: ClassVar[dict[str, str]] = {}
    type: str
    form: dict[str, str] = Field(default_factory=dict, description="What the vendor calls the Connection's fields, as `login: Account SID`")

    @property
    def asked_for(self) -> dict[str, str]:
        """The Connection's fields that this authentication reads, with their labels."""
        return {**self.labels, **self.form}

    def signer(self, account: Account) -> Signer:
        """What signs the requests of an account. Raises AuthFailed if its Connection lacks a secret."""
        raise NotImplementedError


def with_header(request: Request, name: str, value: str) -> Request:
    """The request with one more secret header."""
    return replace(request, secret_headers={**request.secret_headers, name: value})


def with_param(request: Request, name: str, value: str) -> Request:
    """The request with one more secret query parameter."""
    return replace(request, secret_params={**request.secret_params, name: value})
