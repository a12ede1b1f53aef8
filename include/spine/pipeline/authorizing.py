"""A person's consent becomes a grant: stored for the workers, put into the Connection, audited and told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from spine.control import audit, connections, events
from spine.control.database import TenantDatabase
from spine.control.tokens import ConnectionToken, TokenVault
from spine.core.errors import ConfigError
from spine.core.events import ConnectorConnected
from spine.core.names import connection_id
from spine.core.tokens import Token
from spine.http.auth import Account
from spine.http.auth.consent import Consent, DeviceCode, device_code, wait_for_device
from spine.http.auth.oauth2 import OAuth2Auth
from spine.http.transport import Transport
from spine.pipeline.services import Services, credentials_of
from spine.sources.spec import Source


@dataclass(frozen=True)
class Kept:
    """A grant that is stored. `in_connection` says whether the Connection has it too; `expires` is when it ends, if the vendor said."""

    connection_id: str
    in_connection: bool
    resumed: bool
    expires: str


@dataclass(frozen=True)
class Asking:
    """The consent for one connection, asked by `actor`."""

    auth: OAuth2Auth
    account: Account
    database: TenantDatabase
    actor: str
    write: Callable[[str, Mapping[str, str]], bool]

    @classmethod
    def of(cls, source: Source, tenant: str, services: Services, actor: str) -> Asking:
        """For a tenant's connection. Raises ConfigError if it is missing, or if the source asks no person, AuthFailed without a client."""
        name = connection_id(source.source, tenant)
        info, database = services.connections(name), services.database.of(tenant)
        auth = source.auth_of(None, info.extra)
        if not isinstance(auth, OAuth2Auth) or auth.grant not in ("authorization_code", "refresh_token", "device_code"):
            wanted = ", ".join(f"{field} ({label})" for field, label in auth.asked_for.items()) or "nothing"
            raise ConfigError(
                f"{source.source} signs by `{auth.type}`, for which no person is asked",
                hint=f"Its Connection needs: {wanted}",
                connection=name,
            )
        audit.record(database, audit.Entry(actor, "secret_read", "connection", name))
        account = Account(credentials_of(info, source), ConnectionToken(TokenVault(database, actor), name), Transport().send)
        account.credentials.needed("login")
        return cls(auth, account, database, actor, services.put)

    def consent(self, redirect_uri: str) -> Consent:
        """The question whose answer comes to that address."""
        return Consent(self.auth, self.account, redirect_uri)

    def device(self) -> DeviceCode:
        """A code that a person types in elsewhere. Raises AuthFailed, RateLimited, SourceUnavailable."""
        return device_code(self.auth, self.account)

    def wait(self, asked: DeviceCode, sleep: Callable[[float], None]) -> Token:
        """The tokens once they have. Raises AuthFailed, RateLimited, SourceUnavailable."""
        return wait_for_device(self.auth, self.account, asked, sleep)

    def keep(self, token: Token) -> Kept:
        """Store a grant: for the workers first, so that it is not lost if the Connection cannot be written."""
        name = self.account.credentials.connection
        vault = TokenVault(self.database, self.actor)
        with vault.locked(name) as held:
            held.save(token)
        extra = {"refresh_token": token.refresh_token} if token.refresh_token else {"access_token": token.access_token}
        written = self.write(name, extra)
        entry = audit.Entry(self.actor, "grant_stored", "connection", name, new_value={"in_connection": written, "fields": sorted(extra)})
        with self.database.begin() as connection:
            audit.record_in(connection, self.database.tenant, entry)
            events.record_in(connection, self.database.tenant, ConnectorConnected(name, self.actor))
        resumed = connections.state(self.database, name).refused and connections.resume(
            self.database, name, by=self.actor, reason="somebody authorised it again"
        )
        return Kept(name, written, resumed, token.grant_expires_at.isoformat() if token.grant_expires_at else "")
