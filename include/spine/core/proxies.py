"""The proxy of a deployment, which the operator names."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from spine.core.errors import ConfigError

_HOST = re.compile(r"[A-Za-z0-9._:-]{1,253}")


@dataclass(frozen=True)
class Proxy:
    """Where it listens, and who we are there; its text shows no password."""

    host: str
    port: int
    login: str = ""
    password: str = field(default="", repr=False)

    @classmethod
    def parse(cls, text: str) -> Proxy | None:
        """What SPINE_PROXY says, None if it is empty. Raises ConfigError, which does not quote it."""
        if not text.strip():
            return None
        try:
            parts = urlsplit(text.strip())
            host, port = parts.hostname or "", parts.port or 0
        except ValueError:
            host, port = "", 0
        if not port or not _HOST.fullmatch(host) or parts.scheme != "http" or parts.path.strip("/") or parts.query or parts.fragment:
            raise ConfigError(
                "SPINE_PROXY is no address of a proxy",
                hint="Write http://proxy.example:3128, with user:password@ before its name if it asks, and %40 for an @ in the password",
            )
        return cls(host, port, unquote(parts.username or ""), unquote(parts.password or ""))

    @property
    def authorization(self) -> str:
        """Login and password as Basic credentials (RFC 7617), empty if there is neither."""
        return b64encode(f"{self.login}:{self.password}".encode()).decode() if self.login or self.password else ""

    def secrets(self) -> list[str]:
        """What of it nobody may read."""
        return [secret for secret in (self.password, self.authorization) if secret]
