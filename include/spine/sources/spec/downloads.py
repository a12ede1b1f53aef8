"""Words for records that refer to files, whose contents are fetched beside them."""

from __future__ import annotations

from pydantic import Field

from spine.core.texts import Word
from spine.sources.spec.requests import Asking

_MEBI = 1024 * 1024


class Download(Asking):
    """The file that a record refers to, whose fields `path` names as `{item.url}`. A record that lacks them has no file.

    It is fetched for each record that is read and lives, from the Connection's host, `hosts` or `open_hosts`, and kept in the lake, each
    content of a tenant once: `_files/<tenant>/<source>/…/<sha256>`. The record says in `into` its path, size, sha256 and type, or the
    `error` why it was not fetched; the others go on. `drop` comes behind it, and takes away an address that should not be kept.

    Example:
        path: "{item.download_url}"
        types: [application/pdf, image/*]
        megabytes: 20
    """

    into: Word = Field(default="download", description="The field of the record that says what became of it")
    types: tuple[str, ...] = Field(default=(), description="Content types that are kept, as image/*; all if none is given")
    megabytes: float = Field(default=25, gt=0, le=4096, description="How large a file may be")

    @property
    def most(self) -> int:
        """How many bytes a file may have."""
        return int(self.megabytes * _MEBI)
