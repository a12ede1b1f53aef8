"""The plugin in Airflow: every process loads it, the web server alone makes its pages."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from spine.core.settings import PROJECT

TASK = """
import sys
from airflow.sdk.listener import get_listener_manager
get_listener_manager()  # as a task does before it starts
from airflow.sdk.plugins_manager import _get_plugins
plugins, errors = _get_plugins()
assert not errors, errors
assert [plugin.name for plugin in plugins if plugin.name == "spine"]
print(*sorted(name for name in ("spine.ui.app", "deltalake", "pandas") if name in sys.modules))
"""
WEB_SERVER = """
from airflow.plugins_manager import get_fastapi_plugins, get_import_errors, get_plugin_info
(app,) = [entry for entry in get_fastapi_plugins()[0] if entry["url_prefix"] == "/spine"]
(info,) = [plugin for plugin in get_plugin_info() if plugin["name"] == "spine"]
assert not get_import_errors()
print(app["app"].title, *sorted(view["href"] for view in info["external_views"]), sep="|")
"""


def said(program: str, home: Path) -> str:
    own = {"AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "false", "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins")}
    done = subprocess.run([sys.executable, "-c", program], env=os.environ | own, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()[-1] if done.stdout.strip() else ""


def test_a_task_does_not_import_the_pages(tmp_path: Path) -> None:
    assert said(TASK, tmp_path) == ""


def test_the_web_server_finds_the_app_and_its_views(tmp_path: Path) -> None:
    title, *views = said(WEB_SERVER, tmp_path).split("|")
    assert title == "Connected Data Spine"
    assert {"/spine/tables"} <= set(views)
