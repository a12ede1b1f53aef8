"""The deployment's keys, newest first: the first one wraps, all of them open. From SPINE_FERNET_KEY, else from `<home>/fernet.key`.

The file is read at each use, so that a rotation under way is followed by every process of its home at once.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from spine.core.errors import ConfigError, SecretUnreadable
from spine.core.settings import settings

_LOST = (
    "If it was stored with another key, put that key last in SPINE_FERNET_KEY. If that key is lost, `spine keys renew` makes a new one for "
    "the tenant, and a fresh grant in the Connection goes on"
)


def key_file() -> Path:
    """Where the keys are kept if the environment names none."""
    return settings().home / "fernet.key"


def from_environment() -> bool:
    """True if SPINE_FERNET_KEY names the keys: then only the operator can change them."""
    return bool(settings().fernet_key)


def deployment_keys() -> list[str]:
    """The keys' texts, newest first; a home without any gets one. Raises ConfigError if one is malformed."""
    given = settings().fernet_key or _made(key_file())
    found = [key.strip() for key in given.split(",") if key.strip()]
    try:
        MultiFernet([Fernet(key) for key in found])
    except ValueError as error:
        hint = "Set SPINE_FERNET_KEY to 32 url-safe base64 bytes; several, newest first, are separated by commas"
        raise ConfigError("The deployment's Fernet key is malformed", hint=hint) from error
    return found


def deployment_key() -> MultiFernet:
    """Wraps with the newest key, opens with each. Raises ConfigError if one is malformed."""
    return MultiFernet([Fernet(key) for key in deployment_keys()])


def name_of(key: str) -> str:
    """Eight characters that tell a key from another one, and nothing about it."""
    return hashlib.sha256(key.encode()).hexdigest()[:8]


def wrap(tenant: str, key: str, master: Fernet | MultiFernet) -> str:
    """A tenant's key under the deployment's. The text names the tenant, so that keys cannot be swapped."""
    return master.encrypt(orjson.dumps({"tenant": tenant, "key": key})).decode()


def unwrap(tenant: str, wrapped: str, master: Fernet | MultiFernet) -> str:
    """The tenant's key. Raises SecretUnreadable if no key opens it, ConfigError if it is another tenant's."""
    data = open_sealed(master, wrapped, f"the key of tenant {tenant}", tenant=tenant)
    if data["tenant"] != tenant:
        raise ConfigError("The stored key belongs to another tenant", hint="Restore table spine.tenant_keys from a backup", tenant=tenant)
    return str(data["key"])


def open_sealed(key: Fernet | MultiFernet, sealed: str, what: str, **where: Any) -> dict[str, Any]:
    """What was sealed. Raises SecretUnreadable, which says `what` cannot be opened, and how to go on."""
    try:
        data: dict[str, Any] = orjson.loads(key.decrypt(sealed.encode()))
    except InvalidToken as error:
        raise SecretUnreadable(f"The deployment's key does not open {what}", hint=_LOST, **where) from error
    return data


@contextmanager
def changing_file() -> Iterator[None]:
    """One change of the key file at a time; freed by the kernel if this process dies. Nothing is written where there is none."""
    if from_environment():  # as in a container, whose home may be read-only
        yield
        return
    path = key_file().with_name("fernet.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def replace_file(keys: Sequence[str]) -> None:
    """Put these keys into the key file, newest first: whole and on the disk when it returns. Call it within `changing_file`."""
    path = key_file()
    os.replace(_draft(path, ",".join(keys)), path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _made(path: Path) -> str:
    """The text of the key file, made once: of two processes that make it, the second takes the first one's."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = _draft(path, Fernet.generate_key().decode())
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text()


def _draft(path: Path, text: str) -> Path:
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(handle)
    return draft
