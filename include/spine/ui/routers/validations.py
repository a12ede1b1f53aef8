"""What the gate said about a run: `<validations>/<tenant>/<run>/<table>.html`, written by the job, shown here."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import orjson
from fastapi import APIRouter, HTTPException
from fastapi.responses import HTMLResponse

from spine.core.settings import settings
from spine.ui.access import ViewerDep
from spine.ui.pages import page

router = APIRouter(prefix="/validations")


@router.get("/{run_id}", response_class=HTMLResponse)
def list_pages(run_id: str, viewer: ViewerDep) -> HTMLResponse:
    """The run's validation pages of all tenants that the viewer may see."""
    rows = []
    root = settings().validations
    for tenant in sorted(path.name for path in root.iterdir() if path.is_dir()) if root.is_dir() else []:
        folder = _run_folder(tenant, run_id)
        if folder is not None and viewer.sees(tenant):
            rows += [_row(tenant, path) for path in sorted(folder.glob("*.html"))]
    return page("validations.html", run_id=run_id, rows=rows)


@router.get("/{run_id}/{tenant}/{name}", response_class=HTMLResponse)
def show_page(run_id: str, tenant: str, name: str, viewer: ViewerDep) -> HTMLResponse:
    """One validation page. A tenant that the viewer may not see looks like one that does not exist."""
    folder = _run_folder(tenant, run_id) if viewer.sees(tenant) else None
    found = {path.name: path for path in folder.glob("*.html")} if folder else {}
    if name not in found:
        raise HTTPException(404, "There is no such validation page")
    policy = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'"}
    return HTMLResponse(found[name].read_text(encoding="utf-8"), headers=policy)


def _run_folder(tenant: str, run_id: str) -> Path | None:
    """The folder of a run, looked up among those that exist: no part of a URL is ever used as a path."""
    root = settings().validations
    tenants = {path.name: path for path in root.iterdir()} if root.is_dir() else {}
    runs = {path.name: path for path in tenants[tenant].iterdir() if path.is_dir()} if tenant in tenants else {}
    return runs.get(quote(run_id, safe=""), runs.get(run_id))


def _row(tenant: str, path: Path) -> dict[str, str]:
    data = path.with_suffix(".json")
    verdict = orjson.loads(data.read_bytes()).get("passed") if data.is_file() else None
    state = "unknown" if verdict is None else "passed" if verdict else "failed"
    return {"tenant": tenant, "name": path.stem, "file": path.name, "state": state}
