"""Files that records refer to, beside the tables: `_files/<tenant>/<source>/<two digits>/<sha256>`, each content once."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

import pyarrow.fs as pafs

from spine.core.blobs import Kept
from spine.core.names import require_tenant, require_word
from spine.core.settings import settings
from spine.lake.reading import filesystem, storage

_CHUNK = 1 << 20


@storage("Files")
def keep_file(tenant: str, source: str, file: BinaryIO) -> Kept:
    """Keep a file, if its content is not there yet; safe to be killed in, and beside another. Raises LakeError."""
    digest, size = hashlib.sha256(), 0
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
        size += len(chunk)
    file.seek(0)
    name = digest.hexdigest()
    path = f"_files/{require_tenant(tenant)}/{require_word(source, 'source')}/{name[:2]}/{name}"
    if "://" in settings().lake:
        _put(path, file, size)
    else:
        _place(Path(settings().lake) / path, file, size)
    return Kept(path, size, name)


def _place(path: Path, file: BinaryIO, size: int) -> None:
    """In a folder: a file has its name once it is whole."""
    if path.is_file() and path.stat().st_size == size:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    begun = path.with_name(f".{path.name}.{uuid4().hex[:8]}")
    try:
        with begun.open("wb") as target:
            shutil.copyfileobj(file, target, _CHUNK)
        os.replace(begun, path)
    finally:
        begun.unlink(missing_ok=True)


def _put(path: str, file: BinaryIO, size: int) -> None:
    """In a bucket: an object is there once it is whole."""
    store = filesystem()
    found = store.get_file_info(path)
    if found.type == pafs.FileType.File and found.size == size:
        return
    with store.open_output_stream(path) as target:
        while chunk := file.read(_CHUNK):
            target.write(chunk)
