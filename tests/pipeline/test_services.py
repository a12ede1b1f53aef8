"""From a Connection to a reader: addresses, secrets, tokens that survive the process."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest

from spine.control import audit
from spine.control.airflow_state import ConnectionInfo
from spine.control.tokens import ConnectionToken, TokenVault
from spine.control.variables import MemoryVariables
from spine.core.errors import AuthFailed, ConfigError
from spine.core.tokens import Token
from spine.http.auth import Account, Auth, Signer
from spine.http.transport import Request, Transport
from spine.pipeline import services as module
from spine.pipeline.services import Services, base_url, open_reader
from spine.sources import files
from spine.sources.spec import load_source
from tests.sources.rest.conftest import source_of


@pytest.mark.parametrize(
    ("info", "url"),
    [
        ({"host": "example.com"}, "https://example.com"),
        ({"host": "https://example.com/"}, "https://example.com"),
        ({"host": "example.com", "port": 8443}, "https://example.com:8443"),
        ({"host": "https://example.com:8443", "port": 8443}, "https://example.com:8443"),
    ],
)
def test_addresses_are_https_unless_said_otherwise(info, url):
    assert base_url(ConnectionInfo("c", **info)) == url


@pytest.mark.parametrize("info", [{}, {"host": "http://example.com"}, {"host": "example.com", "schema": "http"}])
def test_addresses_without_encryption_are_refused(info):
    with pytest.raises(ConfigError):
        base_url(ConnectionInfo("c", **info))


@pytest.mark.parametrize(
    ("info", "url"),
    [
        ({"extra": {"team": "blue"}}, "https://blue.toys.example/v1"),
        ({}, "https://red.toys.example/v1"),
        ({"host": "own.example", "extra": {"team": "blue"}}, "https://own.example"),
    ],
)
def test_a_connection_without_a_host_has_that_of_the_sources_file(info, url):
    source = source_of({}, host="https://{team}.toys.example/v1", variables={"team": {"default": "red"}})
    assert base_url(ConnectionInfo("c", **info), source) == url


@pytest.mark.parametrize("team", ["evil.example/", "x@evil", "*", "a b"])
def test_a_value_of_that_host_is_a_name_and_nothing_else(team):
    source = source_of({}, host="https://{team}.toys.example", variables={"team": {}})
    with pytest.raises(ConfigError, match="no name of one"):
        base_url(ConnectionInfo("c", extra={"team": team}), source)


def test_this_machine_alone_may_do_without():
    assert base_url(ConnectionInfo("c", host="127.0.0.1", schema="http", port=80)) == "http://127.0.0.1:80"
    with pytest.raises(ConfigError, match="not encrypted"):
        base_url(ConnectionInfo("c", host="http://10.1.2.3", extra={"allow_private": True}))


class Told(Auth):
    """A kind that keeps what it is given for an account."""

    type: Literal["told"] = "told"

    def signer(self, account: Account) -> Signer:
        signer = Signer()
        signer.account = account
        return signer


@pytest.mark.postgres
def test_the_auth_of_a_source_signs_for_the_account_of_its_connection(database, tenant):
    """Whatever kind it is of: what each makes of an account is tested with it."""
    source = load_source("hubspot").model_copy(update={"auth": Told()})
    info = ConnectionInfo("c", host="example.com", login="me", password="x", extra={"refresh_token": "r"})
    services = Services(database, MemoryVariables(), lambda name: info)
    reader = open_reader(source, tenant, info, "run", services, lambda seconds: None)
    account = reader.client.auth.account
    given = account.credentials
    assert (given.base_url, given.login, given.password, given.extra["refresh_token"]) == ("https://example.com", "me", "x", "r")
    assert isinstance(account.tokens, ConnectionToken)
    assert isinstance(account.send.__self__, Transport)
    assert reader.client.bucket.bucket.refill_per_second == pytest.approx(9.0)
    assert reader.client.retry.max_retries == 5
    (read,) = audit.entries(database.of(tenant))
    assert (read["user_id"], read["action"], read["resource_type"], read["resource_id"]) == ("run", "secret_read", "connection", "c")


ALTERNATIVES = """
source: shop
label: Shop
domain: revops
auth: {type: bearer}
other_auths:
  key: {type: api_key, header: X-Key}
streams:
  - {name: orders, path: /o, key: [id], cursor: {field: at, since: since}, entity: person, mapping: {fields: {email: email}}}
  - {name: old, path: /o, auth: {type: basic}, key: [id], entity: person, mapping: {fields: {email: email}}}
  - {name: odd, path: /o, auth: {type: api_key, value: "{nothing}"}, key: [id], entity: person, mapping: {fields: {email: email}}}
"""


@pytest.mark.postgres
class TestOtherWaysToSign:
    """The account chooses one of a source's ways to sign; a stream may have its own."""

    @pytest.fixture
    def signs(self, database, tenant, tmp_path):
        (tmp_path / "shop.yaml").write_text(ALTERNATIVES)
        source = load_source("shop", tmp_path)

        def signed(stream: str, **extra: str) -> dict[str, str]:
            info = ConnectionInfo("c", host="example.com", login="me", password="key", extra=extra)
            client = open_reader(source, tenant, info, "run", Services(database, MemoryVariables(), None), lambda seconds: None).client
            return dict(client.of(stream).auth.sign(Request("GET", "https://example.com")).secret_headers)

        return signed

    def test_the_account_chooses(self, signs):
        assert signs("orders") == {"Authorization": "Bearer key"}
        assert signs("orders", auth="key") == {"X-Key": "key"}
        with pytest.raises(ConfigError, match="no way to sign named 'magic'"):
            signs("orders", auth="magic")

    def test_a_stream_signs_in_its_own_way_whatever_the_account_chooses(self, signs):
        for extra in ({}, {"auth": "key"}):
            assert signs("old", **extra) == {"Authorization": "Basic bWU6a2V5"}

    def test_what_one_stream_lacks_stops_that_stream_alone(self, signs):
        assert signs("orders")
        with pytest.raises(AuthFailed, match="nothing in its extra"):
            signs("odd")


@pytest.mark.postgres
def test_a_connection_without_secret_is_refused_before_anything_is_called(database, tenant):
    services = Services(database, MemoryVariables(), lambda name: ConnectionInfo(name))
    with pytest.raises(AuthFailed):
        open_reader(load_source("hubspot"), tenant, ConnectionInfo("c", host="x.example"), "run", services, lambda seconds: None)


@pytest.mark.postgres
def test_folders_come_from_host_or_path(database):
    info = ConnectionInfo("c", host="/data", extra={"settle_seconds": 5})
    services = Services(database, MemoryVariables(), lambda name: info)
    source = load_source("people_files")
    made = open_reader(source, "default", info, "run", services, lambda seconds: None)
    assert made.folder == files.Folder("/data", {}, 5.0)
    s3 = replace(info, host="", login="key", password="secret", extra={"path": "s3://bucket/in", "s3": {"region": "eu-west-1"}})
    made = open_reader(source, "default", s3, "run", services, lambda seconds: None)
    assert made.folder == files.Folder("s3://bucket/in", {"region": "eu-west-1", "access_key": "key", "secret_key": "secret"})
    assert "secret" not in repr(made)
    with pytest.raises(ConfigError, match="no folder"):
        open_reader(source, "default", replace(info, host=""), "run", services, lambda seconds: None)


@pytest.mark.postgres
def test_rotated_tokens_survive_the_process_encrypted(database, tenant, home):
    store = ConnectionToken(TokenVault(database.of(tenant), "run"), "c")
    assert store.load() is None
    with store.locked() as held:
        assert held.load() is None
        held.save(Token("access", "refresh"))
        assert held.load() == Token("access", "refresh")
    assert ConnectionToken(TokenVault(database.of(tenant), "later"), "c").load() == Token("access", "refresh")


def test_the_environment_names_the_services(monkeypatch, home, lake):
    monkeypatch.setenv("SPINE_POSTGRES", "postgresql://spine_app@localhost/nowhere")
    made = module.services_from_environment()
    assert made.database.url.database == "nowhere"
    monkeypatch.setattr(module.airflow_state, "lake_options", lambda: '{"AWS_REGION": "x"}')
    monkeypatch.setenv("SPINE_LAKE_OPTIONS", "")
    module.services_from_environment()
    from spine.lake.paths import storage_options

    assert storage_options() == {"AWS_REGION": "x"}


def test_tenants_are_listed_in_a_variable():
    services = Services(None, MemoryVariables({"spine.tenants": '{"hubspot": ["default", "acme"]}'}), lambda name: None)
    assert services.tenants("hubspot") == ["default", "acme"]
    assert services.tenants("salesforce") == ["default"]


@pytest.mark.postgres
@pytest.mark.parametrize(("limit", "asked", "ahead"), [({}, True, True), ({}, False, False), ({"share": 0.3}, True, False)])
def test_pages_are_asked_for_ahead_where_all_are_wanted_and_nothing_is_left_to_others(database, limit, asked, ahead):
    source = source_of({}, rate_limit=limit)
    services = Services(database, MemoryVariables(), None)  # type: ignore[arg-type]  # not asked for
    made = open_reader(source, "t1", ConnectionInfo("c", host="x.example", password="x"), "run", services, lambda _: None, ahead=asked)
    assert made.ahead is ahead
