"""Files that only this user may read: tokens, keys, passwords."""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from pathlib import Path

from spine.core.settings import settings


def secret(name: str, value: str | None = None) -> str:
    """The text of `<home>/secrets/<name>` (mode 600); made at the first call from `value` or at random, then never changed."""
    path = secret_path(name)
    if not path.exists():
        _create(path, value or secrets.token_urlsafe(24))
    return path.read_text()


def secret_path(name: str) -> Path:
    """Where a secret is kept."""
    return settings().home / "secrets" / name


def _create(path: Path, text: str) -> None:
    """Whole or not at all; of two processes at once the first wins."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, partial = tempfile.mkstemp(dir=path.parent)  # mode 600
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    with contextlib.suppress(FileExistsError):
        os.link(partial, path)
    os.unlink(partial)
