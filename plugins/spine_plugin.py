"""Registers the spine's pages with Airflow: the app at `/spine` and an entry in the menu. The app lives in `spine.ui`."""

from functools import cached_property
from typing import Any

from airflow.plugins_manager import AirflowPlugin


class SpinePlugin(AirflowPlugin):
    """Mounts `spine.ui`; nothing else.

    Every task and every reading of a DAG file loads the plugins, but only the web server asks for apps and views: they are made then.
    """

    name = "spine"

    @cached_property
    def fastapi_apps(self) -> list[Any]:  # type: ignore[override]
        """The app and where it is mounted."""
        from spine.ui.app import create_app

        return [{"app": create_app(), "url_prefix": "/spine", "name": "Spine"}]

    @cached_property
    def external_views(self) -> list[Any]:  # type: ignore[override]
        """Where Airflow shows the pages."""
        from spine.ui.app import views

        return views()
