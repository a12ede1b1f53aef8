"""What Airflow is told to hide: every secret of a Connection and a token, in each form that a log may show it in."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from urllib.parse import quote, quote_plus

import pytest

from spine.control.airflow_state import ConnectionInfo

SECRETS = {"password": 'p4ss/wörd+"1&', "refresh": "r3fresh/=tok€n", "key": "s3cret+key/x", "unnamed": "wh4t ever?"}
# Airflow's configuration is read when it is imported, so it has a process of its own.
PROGRAM = """
import json, sys
from airflow.sdk._shared.secrets_masker import _secrets_masker
from airflow.models import Connection
from spine.control.airflow_state import get_connection

found = get_connection("ipai_connector_x")
assert found.password, found
print("SEEN" + json.dumps([_secrets_masker().redact(text) for text in json.load(sys.stdin)]))
"""


def written(secret: str) -> list[str]:
    """The ways in which a library or a vendor writes it."""
    return [
        secret, quote(secret), quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1], base64.b64encode(secret.encode()).decode(),
    ]  # fmt: skip


@pytest.mark.airflow
def test_airflow_hides_each_secret_in_every_form(tmp_path):
    extra = {"refresh_token": SECRETS["refresh"], "s3": {"secret_key": SECRETS["key"]}, "note": SECRETS["unnamed"], "scope": "read_all"}
    connection = {
        "conn_type": "spine",
        "host": "https://vendor.example",
        "login": "client",
        "password": SECRETS["password"],
        "extra": extra,
    }
    pair = base64.b64encode(f"client:{SECRETS['password']}".encode()).decode()
    texts = [form for secret in SECRETS.values() for form in written(secret)] + [pair]
    env = {key: value for key, value in os.environ.items() if not key.startswith("AIRFLOW")}
    env |= {
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path}/airflow.db",
        "AIRFLOW_CONN_IPAI_CONNECTOR_X": json.dumps(connection),
    }
    lines = [f"GET /x?key={text}&page=2" for text in texts]
    given = json.dumps([*lines, "scope read_all of source https://vendor.example"])
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=env, input=given, capture_output=True, text=True, check=False)
    assert "SEEN" in done.stdout, done.stderr[-2000:]
    shown = json.loads(done.stdout.partition("SEEN")[2].splitlines()[0])
    assert [line for line, text in zip(shown, texts, strict=False) if text in line] == []
    assert all("***" in line for line in shown[:-1])
    assert shown[-1] == "scope read_all of source https://vendor.example"


def test_a_connections_secrets_are_named_and_nothing_public():
    extra = {"source": "hubspot", "refresh_token": "r", "s3": {"region": "eu", "secret_key": "k"}, "settle_seconds": 5}
    info = ConnectionInfo("c", login="me", password="p", extra=extra)
    assert info.secrets() == ["p", base64.b64encode(b"me:p").decode(), "r", "k"]
    assert ConnectionInfo("c").secrets() == []
