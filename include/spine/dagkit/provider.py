"""What Airflow is told about this package by the entry point `apache_airflow_provider`: the connection type `spine` with its form.

Every Airflow process asks, so this imports next to nothing. Keys: `provider_info.schema.json` and `providers_manager.py` of Airflow 3.3.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from spine.core.settings import settings

CONN_TYPE = "spine"


_HIDDEN = {"format": "password"}
# What kinds of authentication read besides login and password; `spine connector fields` says which of them a source needs.
_SECRETS: tuple[tuple[str, str, str, dict[str, str]], ...] = (
    ("private_key", "Private key", "JWT and SAML: in PEM, where the password is something else", _HIDDEN),
    ("certificate", "Certificate", "SAML: in PEM", {}),
    ("user", "User", "SAML: for whom", {}),
    ("username", "Person's user name", "OAuth by password", {}),
    ("user_password", "Person's password", "OAuth by password", _HIDDEN),
    ("region", "Region", "AWS", {}),
    ("session_token", "Session token", "AWS: of temporary keys", _HIDDEN),
    ("token_id", "Token id", "OAuth 1.0a", _HIDDEN),
    ("token_secret", "Token secret", "OAuth 1.0a", _HIDDEN),
)


def get_provider_info() -> dict[str, Any]:
    """The answer to Airflow's question what this package provides."""
    return {
        "package-name": "connected-data-spine",
        "name": "Connected Data Spine",
        "description": "Connections of the declared sources",
        "versions": [version("connected-data-spine")],
        "connection-types": [
            {
                "connection-type": CONN_TYPE,
                "hook-class-name": "spine.dagkit.hook.ConnectorHook",
                "hook-name": "Connected Data Spine source",
                "ui-field-behaviour": {
                    "hidden-fields": ["port", "schema"],
                    "relabeling": {"host": "Address or folder", "login": "Client id or user", "password": "Token, key or secret"},
                    "placeholders": {
                        "host": "https://… of the account; for file drops a path or s3://bucket/prefix",
                        "login": "OAuth client id, user name, or access key of an s3:// folder",
                        "password": "access token, API key, password, client secret, or secret key of an s3:// folder",
                    },
                },
                "conn-fields": _extra(),
            }
        ],
    }


def _extra() -> dict[str, Any]:
    text = {"type": ["string", "null"]}
    sources = sorted(path.stem for path in settings().sources.glob("*.yaml"))
    return {
        "source": {
            "label": "Source",
            "description": "Whose account this is; Test needs it, runs go by the Connection's id",
            "schema": {**text, "enum": [*sources, None]},
        },
        "tenant": {"label": "Tenant", "description": "For Test; `default` where it is empty", "schema": text},
        "refresh_token": {
            "label": "Refresh token",
            "description": "OAuth: the first one; later ones are kept encrypted in the control plane",
            "schema": {**text, "format": "password"},
        },
        "token_url": {"label": "Token URL", "description": "OAuth: only if it is not below the address", "schema": text},
        "scope": {"label": "Scope", "description": "OAuth: what is asked for", "schema": text},
        "database": {"label": "Database", "description": "Of a source that keeps several, such as Odoo's", "schema": text},
        "auth": {"label": "Way to sign", "description": "Where the source has several (`other_auths`): its name", "schema": text},
        "rate_account": {
            "label": "Account of the limit",
            "description": "Where several credentials share one limit of the vendor: any name, the same in each",
            "schema": text,
        },
        **{name: {"label": label, "description": why, "schema": {**text, **shown}} for name, label, why, shown in _SECRETS},
        "settle_seconds": {
            "label": "Seconds to settle",
            "description": "File drops: a file that was written to more recently is left for the next run",
            "schema": {"type": ["integer", "null"], "minimum": 0},
        },
    }
