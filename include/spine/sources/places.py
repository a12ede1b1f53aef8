"""Which folders of the worker are a tenant's: said by the operator in `SPINE_DROPS`, or told by the tenants' names in their paths.

A tenant's Connection names the folder, but whoever writes the Connection must reach no other tenant's folder by it, nor the worker's own.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from spine.core.errors import ConfigError
from spine.core.names import DEFAULT_TENANT
from spine.core.settings import PROJECT, settings

# What no drop can lie in. The second level of /var is where a system keeps its state; /var/folders and the like are for temporary files.
_SYSTEM = (
    "bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "libx32", "proc", "run", "sbin", "sys", "usr", "var/lib", "var/log", "var/spool",
    "var/cache", "var/backups", "var/mail", "private/etc", "private/var/db", "private/var/log", "private/var/root", "System", "Library",
)  # fmt: skip
_TENANT = "{tenant}"
_HINT = "Name a folder of the tenant's own; the operator says which those are in SPINE_DROPS"


@dataclass(frozen=True)
class Place:
    """One tenant's place among `tenants`, all that are known. Without a tenant every folder will do."""

    tenant: str = ""
    tenants: frozenset[str] = frozenset()

    def of(self, path: str) -> tuple[str, tuple[str, ...]]:
        """A folder as a root without a link in it, and the steps from there, which may not be links.

        Raises ConfigError if it is not the tenant's.
        """
        if "\0" in path or ".." in path.split("/"):
            raise ConfigError("the folder of the Connection has `..` in it", hint="Write its whole path")
        if self.tenant and settings().drops:
            return self._below_a_root(os.path.abspath(path))
        found = os.path.realpath(path)
        if self.tenant:
            self._require_own(Path(found))
        return found, ()

    def require_prefix(self, uri: str) -> None:
        """Raises ConfigError for a prefix that is not below those of `SPINE_DROPS`; without any the bucket's keys say who may read."""
        roots = [root for root in self._roots() if root.startswith("s3://")]
        inside = any(f"{uri.rstrip('/')}/".startswith(f"{root.rstrip('/')}/") for root in roots)
        if ".." in uri.split("/") or (any(root.startswith("s3://") for root in settings().drops) and not inside):
            raise ConfigError(f"{uri} is no prefix of tenant {self.tenant}", hint=_HINT)

    def _roots(self) -> list[str]:
        """The roots of `SPINE_DROPS` for this tenant; one that names no tenant is that of a deployment that has but one."""
        mine = [root for root in settings().drops if _TENANT in root or self.tenant == DEFAULT_TENANT]
        return [root.replace(_TENANT, self.tenant) for root in mine]

    def _below_a_root(self, path: str) -> tuple[str, tuple[str, ...]]:
        for root in (os.path.expanduser(root) for root in self._roots() if "://" not in root):
            for written in (os.path.abspath(root), os.path.realpath(root)):
                if path == written or path.startswith(f"{written.rstrip('/')}/"):
                    below = tuple(part for part in path[len(written) :].split("/") if part)
                    if not (self.tenants - {self.tenant}).intersection(below):
                        return os.path.realpath(root), below
        raise ConfigError(f"{path} is no folder of tenant {self.tenant}", hint=_HINT)

    def _require_own(self, folder: Path) -> None:
        """Raises ConfigError for a folder of the system, of the spine, or of another tenant: the last tenant whose name is in the path."""
        sandbox = Path(os.path.realpath(settings().home)) / "sandbox" / "drop"
        if not folder.is_relative_to(sandbox):
            closed = [Path("/", name) for name in _SYSTEM] + [Path(os.path.realpath(place)) for place in _own_places()]
            hidden = any(part.startswith(".") for part in folder.parts)
            if hidden or folder == Path("/") or any(folder.is_relative_to(place) for place in closed):
                raise ConfigError(f"{folder} is no folder for files of a tenant", hint=_HINT)
        named = [part for part in folder.parts if part in self.tenants | {self.tenant}]
        owner = named[-1] if named else DEFAULT_TENANT
        if owner != self.tenant:
            raise ConfigError(f"{folder} is no folder of tenant {self.tenant}, since its name is not in the path", hint=_HINT)


def _own_places() -> Iterable[Path]:
    here = settings()
    return [here.home, PROJECT, *([] if "://" in here.lake else [Path(here.lake)])]
