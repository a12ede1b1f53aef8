"""Registers the spine's pages with Airflow: the app at `/spine` and an entry in the menu. The app lives in `spine.ui`."""

from typing import Any, ClassVar

from airflow.plugins_manager import AirflowPlugin

from spine.ui.app import create_app


class SpinePlugin(AirflowPlugin):
    """Mounts `spine.ui`; nothing else."""

    name = "spine"
    fastapi_apps: ClassVar[list[Any]] = [{"app": create_app(), "url_prefix": "/spine", "name": "Spine"}]
    external_views: ClassVar[list[Any]] = [
        {"name": "Lake tables", "href": "/spine/tables", "url_route": "spine_tables", "destination": "nav", "category": "browse"},
        {
            "name": "Validation",
            "href": "/spine/validations/{RUN_ID}?dag={DAG_ID}",
            "url_route": "spine_validation",
            "destination": "dag_run",
        },
    ]
