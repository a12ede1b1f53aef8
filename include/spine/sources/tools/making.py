"""Makes a new source's file and its test: from a description of somebody else's, from a file of ours, or empty but for what it needs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spine.core.errors import ConfigError
from spine.core.names import require_word
from spine.core.settings import PROJECT, settings
from spine.sources.spec import load_source
from spine.sources.tools.drafts import Draft, Remark, read_before

_TEST = '''"""The source {name}: its file is sound and reads what it was made for."""

from __future__ import annotations

from spine.sources.check import sound_source

STREAMS = [
{streams}
]


def test_the_file_is_sound_and_reads_its_streams() -> None:
    assert [stream.name for stream in sound_source("{name}").streams] == STREAMS
'''


@dataclass(frozen=True)
class New:
    """What was made. `found` is how many streams the description has, `remarks` what of it did not convert."""

    path: Path
    test: Path | None
    streams: tuple[str, ...]
    found: int
    remarks: tuple[Remark, ...] = ()
    doubts: int = 0


def make_source(
    name: str, *, openapi: Path | None = None, manifest: Path | None = None, like: str | None = None, domain: str | None = None,
    only: Sequence[str] = (), force: bool = False,
) -> New:  # fmt: skip
    """Write `<name>.yaml` among the sources, and its test.

    Raises ConfigError for two descriptions, a name that is taken, and where there is nothing to write.
    """
    require_word(name, "source")
    if len([one for one in (openapi, manifest, like) if one]) > 1:
        raise ConfigError("a source is made from one thing", hint="Give one of --openapi, --manifest and --from")
    path = settings().sources / f"{name}.yaml"
    if path.exists() and not force:
        raise ConfigError(f"{path} is there already", hint="Choose another name, or write over it by --force")
    remarks: tuple[Remark, ...] = ()
    doubts = 0
    if like:
        text, found = _like(like, name), len(load_source(like).streams)
    else:
        draft, found = _draft(name, openapi, manifest)
        _choose(draft, only)
        if domain:
            draft.head["domain"] = domain
            draft.doubts.pop(("domain",), None)
        draft.require_streams()
        text, remarks, doubts = draft.text(), tuple(draft.remarks), sum(map(len, draft.doubts.values()))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    streams = tuple(stream.name for stream in load_source(name).streams)
    return New(path, _write_test(name, streams, force=force), streams, found, remarks, doubts)


def _draft(name: str, openapi: Path | None, manifest: Path | None) -> tuple[Draft, int]:
    if openapi is not None:
        from spine.sources.tools.openapi import convert_openapi

        return convert_openapi(openapi, name)
    if manifest is not None:
        from spine.sources.tools.manifests import convert_manifest

        return convert_manifest(manifest, name)
    return _empty(name), 0


def _empty(name: str) -> Draft:
    """A source of one stream, each word of which is to be looked at."""
    draft = Draft(name, {"source": name, "label": name.replace("_", " ").title(), "domain": "revops", "auth": {"type": "bearer"}})
    draft.streams.append({
        "name": "customers", "path": "/customers", "records": "data", "key": ["id"],
        "cursor": {"field": "updated_at", "since": "updated_since"},
        "paging": {"type": "next_token", "next": "next_cursor", "param": "cursor", "size": 100, "size_param": "limit"},
    })  # fmt: skip
    draft.doubt((), "a beginning: docs/sources.md explains each word, `spine sources read` shows what the vendor answers")
    draft.doubt(("domain",), "who asks for it: revops, finops, supportops, marketingops or hr")
    draft.doubt(("auth",), "how requests are signed: docs/reference.md lists the kinds")
    draft.settle()
    return draft


def _like(like: str, name: str) -> str:
    """The text of another source's file under this name, its remarks included."""
    source = load_source(like)
    text = (settings().sources / f"{like}.yaml").read_text(encoding="utf-8")
    text, count = re.subn(rf"(?m)^source:\s*{like}\b", f"source: {name}", text, count=1)
    if not count:
        raise ConfigError(f"the file of {like} does not begin as files do", hint="Copy it by hand")
    if source.kind in ("custom", "hybrid") and source.reader is None:  # whose module has the other's name
        text = re.sub(r"(?m)^(kind:[^\n]*)", rf"\1\nreader: {like}", text, count=1)
    return text


def _choose(draft: Draft, only: Sequence[str]) -> None:
    """Keep these streams and the parents that they need. Raises ConfigError for one that is not there."""
    if not only:
        return
    known: dict[str, dict[str, Any]] = {stream["name"]: stream for stream in draft.streams}
    if missing := [name for name in only if name not in known]:
        raise ConfigError(f"there is no stream {missing[0]!r} to take", hint=f"There are {', '.join(sorted(known))[:400]}")
    wanted, waiting = set[str](), list(only)
    while waiting:
        name = waiting.pop()
        if name not in wanted:
            wanted.add(name)
            waiting += read_before(known[name])
    draft.streams = [stream for stream in draft.streams if stream["name"] in wanted]


def _write_test(name: str, streams: Sequence[str], *, force: bool) -> Path | None:
    """Only among the project's own tests, where the file is one of the project's sources."""
    folder = PROJECT / "tests" / "sources"
    if settings().sources.resolve() != (PROJECT / "include" / "sources").resolve() or not folder.is_dir():
        return None
    path = folder / f"test_{name}.py"
    if path.exists() and not force:
        return None
    path.write_text(_TEST.format(name=name, streams="\n".join(f'    "{stream}",' for stream in streams)), encoding="utf-8")
    return path
