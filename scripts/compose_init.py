"""First service of docker-compose: roles, analysts, Airflow's tables, the admin's password and the connectors' pool. Safe to run again."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from spine.control.bootstrap import bootstrap
from spine.core.names import DEFAULT_TENANT
from spine.core.settings import settings
from spine.stack.analysts import login_of

SERVICES_UID = 50000
FOLDERS = ("airflow", "validations", "results")


def let_in() -> None:
    """The application, and the analysts of the first tenant; those of others come with `spine tenant add` in this service."""
    bootstrap(os.environ["SPINE_ADMIN_URL"], app_password=os.environ["SPINE_APP_PASSWORD"])
    login_of(DEFAULT_TENANT)


def main() -> None:
    """Everything the other services wait for."""
    let_in()
    passwords = Path(os.environ["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"])
    passwords.touch(mode=0o600)
    passwords.write_text(json.dumps({"admin": os.environ["AIRFLOW_ADMIN_PASSWORD"]}))
    subprocess.run(["airflow", "db", "migrate"], check=True)
    subprocess.run(["airflow", "pools", "set", "spine_connectors", str(settings().pool_size), "Connector tasks at once"], check=True)
    for folder in FOLDERS:
        hand_over(settings().home / folder)


def hand_over(folder: Path) -> None:
    """A folder and all in it to the services; links in it, which the services may have made, are themselves handed over, not followed."""
    os.chown(folder, SERVICES_UID, SERVICES_UID, follow_symlinks=False)
    for _, folders, files, descriptor in os.fwalk(folder):
        for name in (*folders, *files):
            os.chown(name, SERVICES_UID, SERVICES_UID, dir_fd=descriptor, follow_symlinks=False)


if __name__ == "__main__":
    main()
