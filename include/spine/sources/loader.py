"""Finds the reader of a source by its kind: generic sources need YAML only, others have a module in `spine.sources.custom`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

from spine.core.blobs import Keep
from spine.core.errors import ConfigError
from spine.http.client import Client
from spine.sources import database, files, imap, lake, mongodb, rest, singer
from spine.sources.access import Access
from spine.sources.drops import Folder
from spine.sources.reading import Reader
from spine.sources.rest.stages import Stages
from spine.sources.spec import Source
from spine.sources.variables import values_of

# The readers that no source has to write. Those that are given an Access speak to their source themselves, without HTTP.
MODULES: Mapping[str, ModuleType] = {
    "generic": rest, "files": files, "database": database, "singer": singer, "mongodb": mongodb, "imap": imap,
    "lake": lake,
}  # fmt: skip
UNCALLED = frozenset(MODULES) - {"generic", "files"}


def reader_for(
    source: Source, *, client: Client | None = None, folder: Folder | None = None, access: Access | None = None,
    extra: Mapping[str, Any] | None = None, hashed: Callable[[str], str] | None = None, ahead: bool = False,
    keep: Keep | None = None,
) -> Reader:  # fmt: skip
    """The reader of a source on an account (`client`, and the `extra` of its Connection), a folder, or what is spoken to without HTTP.

    `hashed` hides personal values, `keep` keeps files that records refer to.

    `ahead`: all pages are wanted, so that the next one may be asked for before the one before it is done with.

    Raises ConfigError if the source needs code that is not there.
    """
    if source.kind == "files":
        if folder is None:
            raise ConfigError("a source of files needs a folder", hint="Put its path in the host of the Connection", source=source.source)
        return files.Reader(source, folder)
    if source.kind in UNCALLED:
        if access is None:
            raise ConfigError("the source needs an account", source=source.source)
        own: Reader = MODULES[source.kind].Reader(source, access)
        return own
    if client is None:
        raise ConfigError("the source needs a client", source=source.source)
    if source.kind == "generic":
        return rest.Reader(source, client, extra or {}, stages_of(source), hashed, ahead, keep)
    values = {"values": values_of(source, extra or {})} if source.variables else {}
    reader: Reader = module_of(source).Reader(source, client, **values)
    return reader


def stages_of(source: Source) -> type[Stages]:
    """The steps of a generic source, some of which a module of its own may replace. Raises ConfigError if that cannot be used."""
    if source.reader is None:
        return Stages
    found = getattr(_custom(source), "Stages", None)
    if not isinstance(found, type) or not issubclass(found, Stages):
        name = f"spine.sources.custom.{source.reader}"
        raise ConfigError(f"{name} has no class Stages", hint="Derive it from spine.sources.rest.stages.Stages", source=source.source)
    return found


def module_of(source: Source) -> ModuleType:
    """The module of the source's reader: `READS` are the words of a stream that it reads. Raises ConfigError if it cannot be used."""
    return MODULES.get(source.kind) or _custom(source)


def _custom(source: Source) -> ModuleType:
    name = f"spine.sources.custom.{source.reader or source.source}"
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise ConfigError(f"module {name} needs {error.name}, which is not there", source=source.source) from error
        raise ConfigError(f"there is no module {name}", hint="Write it, or use kind generic", source=source.source) from error
    except Exception as error:  # its author's mistake is that source's own affair
        raise ConfigError(
            f"module {name} cannot be imported: {type(error).__name__}: {error}", hint="Correct it", source=source.source
        ) from error
