"""Asynchronous retrievers as jobs."""

from __future__ import annotations

import re
from typing import Any

from spine.sources.tools.drafts import Untold, placeholder
from spine.sources.tools.manifests.asking import Asked, asked_by
from spine.sources.tools.manifests.components import Component
from spine.sources.tools.manifests.filling import Filling


def job_of(retriever: Component, filling: Filling) -> tuple[dict[str, Any], Asked, Asked]:
    """The words of a job, and what orders and fetches it. Raises Untold."""
    requesters = {name: retriever.get(f"{name}_requester") for name in ("creation", "polling", "download", "abort")}
    creation, polling, download = requesters["creation"], requesters["polling"], requesters["download"]
    if creation is None or polling is None or download is None:
        raise Untold("a job that is none", "", retriever.line)
    if retriever.get("download_target_requester") is not None:
        raise Untold("a job whose result is asked for in two steps", "", retriever.line)
    asked = asked_by(creation, filling)
    made: dict[str, Any] = {"create": _words(asked), "poll": _words(asked_by(polling, filling))}
    extractor = retriever.get("status_extractor")
    made["status"] = _path(extractor)
    made |= _states(retriever)
    timeout = retriever.value("polling_job_timeout")
    if str(timeout).isdigit():
        made["within"] = f"{timeout}m"
    if requesters["abort"] is not None:
        made["cancel"] = _words(asked_by(requesters["abort"], filling))
    fetched = asked_by(download, filling)
    target = retriever.get("download_target_extractor") or retriever.get("urls_extractor")
    address = f"{fetched.base}{fetched.words.get('path', '')}"
    if target is not None and re.fullmatch(r"\{job\.[a-z_]+\}", address.strip()):
        made["files"] = _path(target)
        fetched.base, fetched.words = "", {}
    elif target is not None:
        fetched.words["path"] = str(fetched.words.get("path", "")).replace("{job.target}", placeholder(f"job.{_path(target)}"))
    return made, asked, fetched


def _words(asked: Asked) -> dict[str, Any]:
    """A request of a job; one that stands at another host says so in its path."""
    if asked.secret_headers or asked.secret_params:
        raise Untold("a job with secrets of its own", "")
    return asked.words


def _states(retriever: Component) -> dict[str, Any]:
    found = retriever.get("status_mapping")
    states = {
        name: [str(one) for one in (found.value(name) if found else None) or ()] for name in ("completed", "failed", "timeout", "skipped")
    }
    made: dict[str, Any] = {"done": states["completed"]}
    failed = list(dict.fromkeys(one for one in states["failed"] + states["timeout"] if one not in states["completed"]))
    made |= {"failed": failed} if failed else {}
    return made | ({"empty": states["skipped"]} if states["skipped"] else {})


def _path(extractor: Component | None) -> str:
    if extractor is None or extractor.custom:
        raise Untold("custom code: record extractor", "a job's answer is read by code", extractor.line if extractor else 0)
    steps = [str(step) for step in extractor.value("field_path") or ()]
    plain = [
        step if re.fullmatch(r"[A-Za-z_]\w*", step) else f"[{step}]" if step.isdigit() else "[]" if step == "*" else f'"{step}"'
        for step in steps
    ]
    return ".".join(plain).replace(".[", "[") or "status"
