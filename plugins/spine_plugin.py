"""Registers the spine's pages with Airflow: the app at `/spine` and an entry in the menu. The app lives in `spine.ui`."""

import sys
from functools import cached_property
from importlib import import_module
from typing import Any

from airflow.plugins_manager import AirflowPlugin

# What tasks and readings of DAG files import, by the command that forks a process for each of them.
_SHARED = {
    "scheduler": ("spine.dagkit.sync", "spine.dagkit.resolve", "spine.pipeline.extract", "spine.pipeline.closing"),
    "dag-processor": ("spine.dagkit.sync", "spine.dagkit.resolve", "spine.dagkit.maintenance", "spine.dagkit.watch"),
}


class SpinePlugin(AirflowPlugin):
    """Mounts `spine.ui`; nothing else.

    Every task and every reading of a DAG file loads the plugins, but only the web server asks for apps and views: they are made then.
    """

    name = "spine"

    @classmethod
    def on_load(cls, *_: Any, **__: Any) -> None:
        """Import once, before the fork, what each forked process would spend half a second of a core on."""
        for module in _SHARED.get(next(iter(sys.argv[1:]), ""), ()):
            import_module(module)

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
