"""The FastAPI app that the plugin mounts at `/spine`, inside Airflow's web server and behind its login."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import Any

from fastapi import Depends, FastAPI

from spine.ui import routers
from spine.ui.access import require_viewer


def pages() -> list[ModuleType]:
    """The modules of `routers`, one per page; each has a `router` and says with `VIEW` where Airflow shows it."""
    return [import_module(f"{routers.__name__}.{module.name}") for module in iter_modules(routers.__path__)]


def create_app() -> FastAPI:
    """The app; every route needs a logged-in user who may read DAGs."""
    app = FastAPI(title="Connected Data Spine", docs_url=None, redoc_url=None, openapi_url=None)
    for page in pages():
        app.include_router(page.router, dependencies=[Depends(require_viewer)])
    return app


def views() -> list[dict[str, Any]]:
    """Where Airflow shows the pages, as its plugins declare external views."""
    return [page.VIEW for page in pages()]
