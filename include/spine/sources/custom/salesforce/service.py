"""The API of one account: where it is, and in which version.

A Connection names a version (`api_version`), which old organisations and servers of others may not have: then the newest one up to it is
taken of those that the account lists, or where it lists none, that answers. Facts: developer.salesforce.com, REST API Developer Guide
("Versions", "Query", "QueryAll"), help.salesforce.com ("The User Info Endpoint": a token of login.salesforce.com says where its
account is).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from spine.core.errors import SchemaMismatch, SourceRejected
from spine.core.screen import logger
from spine.http.client import Client
from spine.http.transport import Request, Response
from spine.sources.custom.salesforce.faults import ABSENT, reason_of
from spine.sources.reading import lookup

_log = logger(__name__)
_LOGINS = ("login.salesforce.com", "test.salesforce.com")
_NEWEST, _OLDEST = 67, 50  # versions that are tried where none is listed


@dataclass
class Service:
    """Asks the account's API. `word` is its query with deleted rows, `queryAll`, or `query` where there is none."""

    client: Client
    version: str
    word: str = "queryAll"
    _base: str | None = None
    _known: bool = field(default=False, repr=False)

    @property
    def base(self) -> str:
        """The account's own address; empty where it is the Connection's."""
        if self._base is None:
            self._base = self._account() if urlsplit(self.client.base_url).hostname in _LOGINS else ""
        return self._base

    @property
    def root(self) -> str:
        """Where the API is, without a slash at its end."""
        return f"{self.base}/services/data/v{self.version}"

    def query(self, text: str, headers: Mapping[str, str], path: str = "") -> Any:
        """The answer to a query, by a path of the source's file or where the account has it. Raises ConnectorErrors."""
        if path:
            return self.client.get(path, {"q": text}, headers=headers).json()
        try:
            answer = self._ask(self.version, self.word, text, headers)
        except SourceRejected as error:
            if self._known or reason_of(error) != ABSENT:
                raise
            answer = self._elsewhere(text, headers, error)
        self._known = True
        return answer

    def more(self, locator: str, headers: Mapping[str, str]) -> Any:
        """The answer to `nextRecordsUrl`, relative or whole: it is asked of the account, whatever host it names."""
        parts = urlsplit(locator)
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        return self.client.get(f"{self.base}{path}", headers=headers).json()

    def get(self, path: str, params: Mapping[str, str] | None = None) -> Any:
        """What the API says at a path below its version."""
        return self.client.get(f"{self.root}/{path}", params).json()

    def described(self, path: str) -> Any:
        """What the API says at a path before anything was asked of it: the version may have to be found first."""
        if self._known:
            return self.get(path)
        for version in (self.version, *self._versions()):
            try:
                answer = self.client.get(f"{self.base}/services/data/v{version}/{path}/").json()
            except SourceRejected as error:
                if reason_of(error) != ABSENT:
                    raise
                refusal = error
                continue
            self.version = version
            return answer
        raise refusal

    def send(self, method: str, path: str, body: Any = None) -> Response:
        """Send something to a path below its version; it may be sent twice."""
        answer: Any = "json" if method == "POST" else "bytes"
        return self.client.request(Request(method, f"{self.root}/{path}", json=body, idempotent=True, answer=answer))

    def _ask(self, version: str, word: str, text: str, headers: Mapping[str, str]) -> Any:
        return self.client.get(f"{self.base}/services/data/v{version}/{word}", {"q": text}, headers=headers).json()

    def _elsewhere(self, text: str, headers: Mapping[str, str], refusal: SourceRejected) -> Any:
        """The answer of the first version that has a query."""
        for version in self._versions():
            try:
                answer = self._ask(version, "query", text, headers)
            except SourceRejected as error:
                if reason_of(error) == ABSENT:
                    continue
                self.version = version
                raise
            self.version, self.word = version, "query"
            try:
                answer = self._ask(version, "queryAll", text, headers)
                self.word = "queryAll"
            except SourceRejected as error:
                if reason_of(error) != ABSENT:
                    raise
                _log.warning("the account has no queryAll, so that deleted records are not seen by their flag")
            _log.info("the account's API is asked in version %s", version)
            return answer
        raise refusal

    def _versions(self) -> Iterator[str]:
        """Versions in the order in which they are tried."""
        wanted = float(self.version)
        try:
            told = self.client.get(f"{self.base}/services/data/").json()
        except (SourceRejected, SchemaMismatch):
            told = None
        listed = [float(item["version"]) for item in told if lookup(item, "version")] if isinstance(told, list) else []
        found = listed or [float(number) for number in range(_OLDEST, _NEWEST + 1)]
        older = sorted((one for one in found if one <= wanted), reverse=True)
        newer = sorted(one for one in found if one > wanted)
        yield from (f"{one:.1f}" for one in (*older, *newer))

    def _account(self) -> str:
        """The address of the account that a token of the common login is for. Raises SchemaMismatch."""
        told = self.client.get("/services/oauth2/userinfo").json()
        parts = urlsplit(str(lookup(told, "urls.rest") or ""))
        if not parts.scheme or not parts.netloc:
            raise SchemaMismatch(
                "the login does not say where the account is", hint="Put the account's own address, https://….my.salesforce.com, as host"
            )
        return f"{parts.scheme}://{parts.netloc}"
