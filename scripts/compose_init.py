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
    jobs = os.environ.get("SPINE_JOBS_PASSWORD") or None
    bootstrap(os.environ["SPINE_ADMIN_URL"], app_password=os.environ["SPINE_APP_PASSWORD"], jobs_password=jobs)
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
        for path in (settings().home / folder, *(settings().home / folder).rglob("*")):
            os.chown(path, SERVICES_UID, SERVICES_UID)


if __name__ == "__main__":
    main()
