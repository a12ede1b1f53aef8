"""What the gate said about a run: the pages that the job left, each for the tenant that its JSON names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
from fastapi import APIRouter, HTTPException
from fastapi.responses import HTMLResponse

from spine.quality.report import run_folder
from spine.ui.access import Viewer, ViewerDep
from spine.ui.pages import page

router = APIRouter(prefix="/validations")
VIEW = {
    "name": "Validation",
    "href": "/spine/validations/{RUN_ID}?dag={DAG_ID}",
    "url_route": "spine_validation",
    "destination": "dag_run",
}


@router.get("/{run_id}", response_class=HTMLResponse)
def list_pages(run_id: str, viewer: ViewerDep, dag: str = "") -> HTMLResponse:
    """The run's validation pages of all tenants that the viewer may see; run ids repeat between DAGs, so `dag` tells which one."""
    found = [(path, _content(path)) for path in sorted(run_folder(run_id).glob("*.json"))]
    mine = [(path, content) for path, content in found if dag in ("", f"sync_{content['source']}")]
    return page("validations.html", run_id=run_id, rows=[_row(path, content) for path, content in mine if _may_see(viewer, content)])


@router.get("/{run_id}/{name}", response_class=HTMLResponse)
def show_page(run_id: str, name: str, viewer: ViewerDep) -> HTMLResponse:
    """One validation page. A page that the viewer may not see looks like one that does not exist."""
    known = {path.stem: path for path in run_folder(run_id).glob("*.json")}  # no part of a URL is ever used as a path
    if name not in known or not _may_see(viewer, _content(known[name])):
        raise HTTPException(404, "There is no such validation page")
    policy = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'"}
    return HTMLResponse(known[name].with_suffix(".html").read_text(encoding="utf-8"), headers=policy)


def _content(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = orjson.loads(path.read_bytes())
    return content


def _may_see(viewer: Viewer, content: dict[str, Any]) -> bool:
    """A page without a tenant counts tenants, so it is the administrator's."""
    return viewer.sees(content["tenant_id"]) if content["tenant_id"] else viewer.admin


def _row(path: Path, content: dict[str, Any]) -> dict[str, str]:
    table = f"{content['source']}_{content['entity']}"
    return {
        "tenant": content["tenant_id"] or "all",
        "table": table,
        "name": path.stem,
        "state": "passed" if content["passed"] else "failed",
    }
