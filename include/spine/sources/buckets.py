"""Opens a bucket that a Connection names: by its own keys or none, and by no way to an address that a vendor's may not be."""

from __future__ import annotations

import re
from typing import Any

from pyarrow import fs as arrow_fs

from spine.core.errors import ConfigError
from spine.core.settings import settings
from spine.http.gate import Gate
from spine.http.transport import origin_of, require_encrypted

# What a Connection may say of its bucket. A role would be taken with the worker's own rights, its own proxy would lead past our checks.
_OPTIONS = frozenset({
    "region", "endpoint_override", "scheme", "access_key", "secret_key", "session_token", "connect_timeout", "request_timeout",
    "force_virtual_addressing",
})  # fmt: skip
_REGION = re.compile(r"[a-z0-9-]{1,40}")


def open_bucket(options: dict[str, Any], gate: Gate) -> arrow_fs.S3FileSystem:
    """The file system of a Connection's `s3` options, by way of the gate. Raises ConfigError for what it may not choose.

    Without keys the bucket is asked anonymously: keys of the environment, its files and the machine's role are the deployment's.
    """
    chosen = {name: value for name, value in options.items() if name != "anonymous"}
    if unknown := sorted(chosen.keys() - _OPTIONS):
        raise ConfigError(f"`s3` of the Connection has {', '.join(unknown)}", hint=f"It may have {', '.join(sorted(_OPTIONS))}")
    if not chosen.get("endpoint_override") and (chosen.get("scheme") or "https") != "https":
        raise ConfigError("`scheme` in `s3` of the Connection is not https", hint="Only an endpoint on this machine may do without")
    if not _REGION.fullmatch(str(chosen.get("region") or "us-east-1")):
        raise ConfigError("`region` in `s3` of the Connection is none", hint="Write it as eu-west-1")
    if not chosen.get("access_key"):
        chosen = {name: value for name, value in chosen.items() if name not in ("access_key", "secret_key", "session_token")}
        chosen["anonymous"] = True
    if chosen.get("endpoint_override"):
        chosen |= _endpoint(chosen)
    elif settings().s3_endpoint:
        return arrow_fs.S3FileSystem(**chosen)  # the deployment's own storage, which the operator has named
    chosen["proxy_options"] = gate.options()
    if settings().ca_bundle:
        chosen["tls_ca_file_path"] = settings().ca_bundle
    return arrow_fs.S3FileSystem(**chosen)


def _endpoint(options: dict[str, Any]) -> dict[str, Any]:
    """Scheme and endpoint, as an address or as `host:port`. Raises ConfigError if it is not encrypted and not this machine's."""
    given = str(options["endpoint_override"])
    url = given if "://" in given else f"{options.get('scheme') or 'https'}://{given}"
    scheme, host, port = origin_of(url)
    if scheme not in ("http", "https") or not host:
        raise ConfigError("`endpoint_override` in `s3` of the Connection is no address", hint="Write it as storage.example:9000")
    require_encrypted(url)
    if scheme == "http" and not settings().private_networks.admits("127.0.0.1"):
        raise ConfigError("`endpoint_override` in `s3` of the Connection may not be called", hint="Use a public address with https")
    return {"scheme": scheme, "endpoint_override": f"{host}:{port}", "region": options.get("region") or "us-east-1"}
