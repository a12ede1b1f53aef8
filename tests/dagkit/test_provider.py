"""Airflow's form has a field for whatever a kind of authentication reads of a Connection."""

from __future__ import annotations

from spine.dagkit.provider import get_provider_info
from spine.http.auth import AUTH_KINDS


def test_whatever_a_kind_reads_has_a_field_and_secrets_are_hidden_there() -> None:
    fields = get_provider_info()["connection-types"][0]["conn-fields"]
    read = {name.removeprefix("extra.") for kind in AUTH_KINDS.classes() for name in kind.labels if name.startswith("extra.")}
    assert read <= fields.keys()
    hidden = {name for name, field in fields.items() if field["schema"].get("format") == "password"}
    assert {name for name in fields if any(word in name for word in ("token_s", "session", "key", "password", "refresh"))} <= hidden
