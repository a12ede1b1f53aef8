"""One small sandbox a test, and clients that hold the credentials of a tenant."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from spine.sandbox.accounts import credentials
from spine.sandbox.server import SandboxServer

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


class Client:
    """Both vendors as one tenant sees them."""

    def __init__(self, url: str, tenant: str) -> None:
        self.url, self.known = url, credentials(tenant)
        self.session = requests.Session()
        self.access = ""

    def token(self, **form: str) -> requests.Response:
        whole = {"client_id": self.known.client_id, "client_secret": self.known.client_secret, **form}
        return self.session.post(f"{self.url}/services/oauth2/token", data=whole, timeout=10)

    def log_in(self) -> Client:
        self.access = self.token(grant_type="client_credentials").json()["access_token"]
        return self

    def soql(self, text: str, batch: int = 2000, resource: str = "query") -> requests.Response:
        headers = {"Authorization": f"Bearer {self.access}", "Sforce-Query-Options": f"batchSize={batch}"}
        return self.session.get(f"{self.url}/services/data/v61.0/{resource}", params={"q": text}, headers=headers, timeout=10)

    def deleted(self, name: str, **bounds: str) -> requests.Response:
        """The deleted records of an object."""
        path = f"{self.url}/services/data/v61.0/sobjects/{name}/deleted/"
        return self.session.get(path, params=bounds, headers={"Authorization": f"Bearer {self.access}"}, timeout=10)

    def more(self, path: str, batch: int = 2000) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.access}", "Sforce-Query-Options": f"batchSize={batch}"}
        return self.session.get(self.url + path, headers=headers, timeout=10)

    def rows(self, text: str, batch: int = 2000, resource: str = "query") -> list[dict[str, Any]]:
        answer = self.soql(text, batch, resource).json()
        found = list(answer["records"])
        while not answer["done"]:
            answer = self.more(answer["nextRecordsUrl"], batch).json()
            found += answer["records"]
        return found

    def hubspot(self, name: str, timeout: float = 10, **params: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.known.hubspot_token}"}
        return self.session.get(f"{self.url}/crm/v3/objects/{name}", params=params, headers=headers, timeout=timeout)

    def search(self, name: str, **body: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.known.hubspot_token}"}
        return self.session.post(f"{self.url}/crm/v3/objects/{name}/search", json=body, headers=headers, timeout=10)

    def control(self, word: str, body: Any = None) -> Any:
        url = f"{self.url}/_sandbox/{word}"
        answer = self.session.get(url, timeout=10) if body is None else self.session.post(url, json=body, timeout=10)
        return answer.json()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SandboxServer]:
    with SandboxServer({"default": 600, "acme": 300}, now=NOW, drop=tmp_path / "drop") as running:
        yield running


@pytest.fixture
def client(server: SandboxServer) -> Client:
    return Client(server.url, "default").log_in()


@pytest.fixture
def acme(server: SandboxServer) -> Client:
    return Client(server.url, "acme").log_in()
