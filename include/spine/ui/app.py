"""The FastAPI app that the plugin mounts at `/spine`, inside Airflow's web server and behind its login."""

from __future__ import annotations

from fastapi import FastAPI

from spine.ui.routers import tables, validations


def create_app() -> FastAPI:
    """The app; every route needs a logged-in user who may read DAGs."""
    app = FastAPI(title="Connected Data Spine", docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(validations.router)
    app.include_router(tables.router)
    return app
