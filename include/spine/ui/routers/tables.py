"""What a table of the lake is: its columns, versions and size. Never a row."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse

from spine.lake.catalog import describe, table_names
from spine.ui.access import ViewerDep
from spine.ui.pages import page

router = APIRouter(prefix="/tables")
VIEW = {"name": "Lake tables", "href": "/spine/tables", "url_route": "spine_tables", "destination": "nav", "category": "browse"}


@router.get("", response_class=HTMLResponse)
def show_tables(viewer: ViewerDep, name: Annotated[list[str] | None, Query()] = None) -> HTMLResponse:
    """The named tables with their partitions of the tenants that the viewer may see, or the list of all tables."""
    known = table_names()
    if not name:
        return page("tables.html", names=known, tables=[])
    return page("tables.html", names=known, tables=[describe(table, viewer.sees) for table in name if table in known])
