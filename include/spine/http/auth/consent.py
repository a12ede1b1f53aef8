"""Asks a person once: by the authorization code with PKCE (RFC 6749, 4.1; RFC 7636; RFC 8252), or by a device code (RFC 8628)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from spine.core.errors import AuthFailed, SourceUnavailable
from spine.core.tokens import Token
from spine.http.auth.asking import content_of, endpoint, error_word, quoted
from spine.http.auth.oauth2 import OAuth2Auth
from spine.http.auth.signing import Account

_DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
_LONGEST = 1800.0  # seconds for which a person may think it over
_SLOWER = 5.0  # seconds by which `slow_down` lengthens the pause (RFC 8628, 3.5)


@dataclass(frozen=True)
class Consent:
    """One question by an address that a browser opens; its answer comes to `redirect_uri` with the same state."""

    auth: OAuth2Auth
    account: Account
    redirect_uri: str
    state: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48), repr=False)

    def url(self) -> str:
        """The address to open. Raises AuthFailed if the Connection has no client id, ConfigError if it is not encrypted."""
        credentials = self.account.credentials
        asked = {
            "response_type": "code",
            "client_id": credentials.needed("login"),
            "redirect_uri": self.redirect_uri,
            "state": self.state,
            **self.auth.scope(credentials),
        }
        if self.auth.pkce:
            digest = hashlib.sha256(self.verifier.encode()).digest()
            asked |= {"code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="), "code_challenge_method": "S256"}
        return quoted(endpoint(self.auth.authorize_path, credentials, "authorize_url"), {**asked, **self.auth.authorize_params})

    def answers(self, params: Mapping[str, str]) -> bool:
        """Whether these parameters answer this question: anybody can send a browser to a port of this machine."""
        return hmac.compare_digest(params.get("state", "").encode(), self.state.encode())

    def redeem(self, params: Mapping[str, str]) -> Token:
        """The tokens for an answer. Raises AuthFailed if it answers another question or says no, RateLimited, SourceUnavailable."""
        where = self.account.credentials.connection
        if not self.answers(params):
            raise AuthFailed(
                "the answer belongs to another question", hint="Run the command again, and use its own address", connection=where
            )
        word = error_word(dict(params))
        if word or not params.get("code"):
            raise AuthFailed(f"nobody agreed: {word or 'no code came'}", hint="Run the command again and agree", connection=where)
        fields = {"grant_type": "authorization_code", "code": params["code"], "redirect_uri": self.redirect_uri}
        fields |= {"code_verifier": self.verifier} if self.auth.pkce else {}
        return _ending(self.auth.request.ask(self.auth.token_url(self.account.credentials), fields, self.account))


@dataclass(frozen=True)
class DeviceCode:
    """What a person types in where; `interval` seconds lie between two questions whether they have."""

    user_code: str
    address: str
    device_code: str = field(repr=False)
    interval: float
    seconds: float


def device_code(auth: OAuth2Auth, account: Account) -> DeviceCode:
    """Ask for a code that a person types in elsewhere. Raises AuthFailed, RateLimited, SourceUnavailable."""
    url = endpoint(auth.device_path, account.credentials, "device_url")
    request = auth.request.request(url, auth.scope(account.credentials), account)
    response = account.send(request)
    answer = content_of(response)
    said = answer if isinstance(answer, Mapping) else {}
    address = said.get("verification_uri_complete") or said.get("verification_uri") or said.get("verification_url")
    if (
        response.status != 200
        or error_word(said)
        or not all(isinstance(one, str) for one in (said.get("device_code"), said.get("user_code"), address))
    ):
        if response.status >= 500:
            raise SourceUnavailable("the device endpoint fails", status=response.status, connection=account.credentials.connection)
        why = error_word(said) or f"status {response.status}"
        raise AuthFailed(f"the device endpoint gave no code: {why}", connection=account.credentials.connection)
    interval, seconds = _seconds(said.get("interval"), 5.0), _seconds(said.get("expires_in"), 600.0)
    return DeviceCode(str(said["user_code"]), str(address), str(said["device_code"]), interval, min(seconds, _LONGEST))


def wait_for_device(auth: OAuth2Auth, account: Account, asked: DeviceCode, sleep: Callable[[float], None] = time.sleep) -> Token:
    """The tokens once a person has typed the code in. Raises AuthFailed if they refuse or take too long, RateLimited, SourceUnavailable."""
    until, pause = time.monotonic() + asked.seconds, asked.interval
    fields = {"grant_type": _DEVICE, "device_code": asked.device_code}
    while time.monotonic() < until:
        sleep(pause)
        response = account.send(auth.request.request(auth.token_url(account.credentials), fields, account))
        word = error_word(content_of(response))
        if word == "slow_down":
            pause += _SLOWER
        elif word != "authorization_pending":
            return _ending(auth.request.token_of(response, connection=account.credentials.connection))
    raise AuthFailed("nobody typed the code in in time", hint="Run the command again", connection=account.credentials.connection)


def _ending(token: Token) -> Token:
    """Without a refresh token the grant ends with the token."""
    return token if token.refresh_token else replace(token, grant_expires_at=token.expires_at)


def _seconds(said: object, default: float) -> float:
    return float(said) if isinstance(said, int | float) and not isinstance(said, bool) and 0 < said <= _LONGEST else default
