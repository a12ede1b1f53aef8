"""A new kind of authentication is one new file: it is found, read from YAML, built and signs, and sees request and answer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

DIGEST = '''
from dataclasses import replace
from typing import Literal
from spine.http.auth.signing import Account, Auth, Signer, with_header


class ChallengeAuth(Auth):
    """Answers the challenge of a refusal with a signature over the body."""

    type: Literal["challenge"] = "challenge"
    salt: str = "s"

    def signer(self, account: Account) -> Signer:
        return Challenge(account.credentials.needed("password"), self.salt)


class Challenge(Signer):
    def __init__(self, key, salt):
        self._key, self._salt, self._nonce = key, salt, ""

    def sign(self, request):
        return with_header(request, "X-Sign", f"{self._salt}{self._nonce}{request.method}")

    def renew(self, request, response):
        nonce = (response.json() or {}).get("nonce", "")
        changed, self._nonce = nonce != self._nonce, nonce
        return changed and bool(request.secret_headers)
'''
USE = """
import importlib.util
import sys

import spine.http
# The package is loaded as if the new file lay in its folder.
spec = importlib.util.find_spec("spine.http.auth")
spec.submodule_search_locations.append(sys.argv[1])
module = importlib.util.module_from_spec(spec)
sys.modules["spine.http.auth"] = module
spec.loader.exec_module(module)
spine.http.auth = module

from pathlib import Path
from spine.http.auth import Account, Credentials
from spine.http.client import Client
from spine.http.transport import Response
from spine.sources.schemas import schema_text
from spine.sources.spec import Source, load_source

folder = Path(sys.argv[2])
source = load_source("odd", folder)
sent = []

class Transport:
    def send(self, request):
        sent.append(dict(request.secret_headers))
        return Response(200, {}, b\'{"nonce": "n"}\', "GET x")

auth = source.auth.signer(Account(Credentials("https://x", password="k"), None, None))
Client("https://x", Transport(), auth).get("/a")
assert [found["X-Sign"] for found in sent] == ["pGET", "pnGET"], sent
assert b\'"challenge"\' in schema_text(Source)
try:
    load_source("wrong", folder)
except Exception as error:
    print(error)
"""
SOURCE = """\
source: {name}
label: Odd
domain: hr
auth: {{type: challenge, {words}}}
streams:
  - {{name: a, key: [id], entity: person, mapping: {{fields: {{email: email}}}}}}
"""


def test_a_new_kind_is_one_file(tmp_path: Path) -> None:
    kinds, sources = tmp_path / "kinds", tmp_path / "sources"
    kinds.mkdir()
    sources.mkdir()
    (kinds / "challenge.py").write_text(DIGEST)
    (sources / "odd.yaml").write_text(SOURCE.format(name="odd", words="salt: p"))
    (sources / "wrong.yaml").write_text(SOURCE.format(name="wrong", words="slat: p, header: X-Key"))
    command = [sys.executable, "-c", USE, str(kinds), str(sources)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    assert "wrong.yaml:4: auth.slat: Extra inputs are not permitted, did you mean 'salt'?" in done.stdout
    assert "wrong.yaml:4: auth.header: Extra inputs are not permitted" in done.stdout, "a word of another kind is wrong as well"
