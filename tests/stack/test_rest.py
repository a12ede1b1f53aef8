"""The client of Airflow's REST API, against a small real server that answers as Airflow does."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from spine.core.errors import StackFailed
from spine.stack import rest

DAGS = [f"dag_{n}" for n in range(250)]


class FakeAirflow(BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass

    def answer(self, status: int, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def serve(self) -> None:
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "null")
        server = self.server
        server.seen.append((self.command, url.path, body))
        if url.path == "/auth/token":
            server.logins += 1
            return self.answer(201 if "right" in body.values() else 401, {"access_token": f"t{server.logins}"})
        if url.path == "/api/v2/monitor/health":
            return self.answer(200, {"scheduler": {"status": "healthy"}, "triggerer": {"status": None}})
        if self.headers["Authorization"] != f"Bearer t{server.valid}":
            return self.answer(401, {"detail": "expired"})
        return self.resource(url.path.removeprefix("/api/v2"), query, body)

    def resource(self, path: str, query: dict[str, str], body: object) -> None:
        store = self.server.store
        if path == "/dags":
            offset, limit = int(query["offset"]), int(query["limit"])
            return self.answer(200, {"dags": [{"dag_id": d} for d in DAGS[offset : offset + limit]], "total_entries": len(DAGS)})
        if path.endswith("/dagRuns") and self.command == "POST":
            return self.answer(200, {"dag_run_id": "manual__1", **body})
        if "/dagRuns/" in path and path.endswith("manual__1"):
            self.server.polls += 1
            return self.answer(200, {"state": "running" if self.server.polls < 3 else "success"})
        if self.command == "POST" and path in ("/connections", "/pools", "/variables"):
            key = body.get("connection_id") or body.get("name") or body.get("key")
            store[f"{path}/{key}"] = body
            return self.answer(201, body)
        if path in store:
            store[path] = body or store[path]
            return self.answer(200, store[path])
        return self.answer(404, {"detail": f"{path} not found"})

    do_GET = do_POST = do_PATCH = serve


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), FakeAirflow)
    server.store, server.seen, server.logins, server.valid, server.polls = {}, [], 0, 1, 0
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def api(server: ThreadingHTTPServer) -> rest.AirflowApi:
    return rest.AirflowApi(f"http://127.0.0.1:{server.server_port}", "admin", "right")


def test_listings_are_read_to_the_end(api: rest.AirflowApi) -> None:
    assert api.dag_ids() == DAGS


@pytest.mark.parametrize(
    ("put", "path", "changed"),
    [
        (lambda api, v: api.put_connection("c", "http", host=v), "/connections/c", "host"),
        (lambda api, v: api.put_pool("p", v), "/pools/p", "slots"),
        (lambda api, v: api.put_variable("k", v), "/variables/k", "value"),
    ],
    ids=["connection", "pool", "variable"],
)
def test_what_is_there_is_changed_and_what_is_not_is_made(api, server, put, path, changed) -> None:
    put(api, "1")
    put(api, "2")
    assert server.store[path][changed] == "2"
    writes = [method for method, _, _ in server.seen if method in ("POST", "PATCH")]
    assert writes == ["POST", "POST", "PATCH"]  # the first is the login


def test_an_expired_token_is_replaced(api: rest.AirflowApi, server: ThreadingHTTPServer) -> None:
    api.dag_ids()
    server.valid = 2
    assert api.dag_ids() == DAGS
    assert server.logins == 2


def test_a_run_is_triggered_and_followed_to_its_end(api: rest.AirflowApi) -> None:
    run_id = api.trigger("sync_hubspot", {"mode": "full"})
    assert api.wait_for_run("sync_hubspot", run_id, interval=0.01) == "success"


def test_waiting_for_a_run_ends(api: rest.AirflowApi) -> None:
    with pytest.raises(StackFailed, match="still running"):
        api.wait_for_run("d", api.trigger("d"), timeout=-1)


def test_a_refusal_keeps_airflows_words(api: rest.AirflowApi) -> None:
    with pytest.raises(StackFailed, match=r"404.*not found"):
        api.pause("absent", False)


def test_a_missing_value_is_none(api: rest.AirflowApi) -> None:
    assert api.xcom("d", "r", "t") is None


def test_a_wrong_password_is_said_without_showing_it(server: ThreadingHTTPServer) -> None:
    api = rest.AirflowApi(f"http://127.0.0.1:{server.server_port}", "admin", "wrong-password")
    with pytest.raises(StackFailed, match="refused the login of admin") as caught:
        api.dag_ids()
    assert "wrong-password" not in str(caught.value)


def test_health_is_a_word_for_each_part(server: ThreadingHTTPServer) -> None:
    assert rest.health(f"http://127.0.0.1:{server.server_port}") == {"scheduler": "healthy", "triggerer": "None"}


def test_a_silent_server_has_no_health_and_says_what_to_do() -> None:
    url = "http://127.0.0.1:9"
    assert rest.health(url) == {}
    with pytest.raises(StackFailed, match="make up"):
        rest.AirflowApi(url, "admin", "right").dag_ids()
