"""Registers the spine's pages with Airflow: the app at `/spine` and an entry in the menu. The app lives in `spine.ui`."""

from typing import Any, ClassVar

from airflow.plugins_manager import AirflowPlugin

from spine.ui.app import create_app, views


class SpinePlugin(AirflowPlugin):
    """Mounts `spine.ui`; nothing else."""

    name = "spine"
    fastapi_apps: ClassVar[list[Any]] = [{"app": create_app(), "url_prefix": "/spine", "name": "Spine"}]
    external_views: ClassVar[list[Any]] = views()
