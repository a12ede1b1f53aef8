"""A program for kill tests: rotates the deployment's key, or drops the older ones.

Arguments: the administrator's URL, the word, the folder of the Variables.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from spine.control.rotation import Keeper


class FileVariables:
    """Variables that outlive a process, as Airflow's do: a file each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, key: str) -> str | None:
        path = self.folder / key
        return path.read_text() if path.exists() else None

    def set(self, key: str, value: str) -> None:
        draft = self.folder.with_name(f"{key}.new")
        draft.write_text(value)
        draft.replace(self.folder / key)

    def delete(self, key: str) -> None:
        (self.folder / key).unlink(missing_ok=True)

    def keys(self, prefix: str) -> Sequence[str]:
        return sorted(path.name for path in self.folder.iterdir() if path.name.startswith(prefix))


if __name__ == "__main__":
    getattr(Keeper(sys.argv[1], "kill-test", FileVariables(Path(sys.argv[3]))), sys.argv[2])()
