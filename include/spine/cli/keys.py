"""Commands on the deployment's keys, which wrap those of the tenants."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Annotated

import typer

from spine.cli import show, world
from spine.cli.options import Json
from spine.core.errors import ConfigError
from spine.core.screen import say
from spine.core.settings import settings

if TYPE_CHECKING:
    from spine.control.rotation import Keeper

app = typer.Typer(no_args_is_help=True, help="The deployment's keys: whose tokens they open, and their rotation.")


@app.command("status")
def status(json: Json = False) -> None:
    """Each tenant's key (under the newest key, an older one, or lost), its tokens that open and those that do not, its audit log's head.

    spine keys status
    """
    found, given = _keeper().status(), _given()
    if json:
        counts = {state: sum(one.state == state for one in found) for state in ("newest", "older", "lost")}
        show.as_json({"keys": given, **counts, "tenants": [vars(one) for one in found]})
        return
    rows = [{**vars(one), "lost_tokens": ", ".join(one.lost_tokens)} for one in found]
    show.as_table(f"Under the keys {', '.join(given)} (newest first)", rows, ("tenant", "state", "tokens", "lost_tokens", "audit_head"))
    _tell(
        "older", [one.tenant for one in found if "older" in (one.state, one.audit_head)], "`spine keys rotate` puts them under the newest"
    )
    lost = [one.tenant for one in found if one.state == "lost" or one.lost_tokens]
    _tell("lost", lost, "add the key that they were stored with to SPINE_FERNET_KEY, or begin anew with `spine keys renew`")
    heads = [one.tenant for one in found if one.audit_head == "lost"]
    _tell("audit logs with a lost head", heads, "if a key was lost, `spine audit accept` takes a log for right; else somebody wrote there")


@app.command("rotate")
def rotate(json: Json = False) -> None:
    """Wrap every tenant's key, and seal its audit log's head, with the newest key, while syncs run; repeat it after a crash.

    A key file gets a new key first. With SPINE_FERNET_KEY, put the new key before the old one (new,old) and restart all services.

      spine keys rotate && spine keys drop
    """
    changed = _keeper().rotate()
    if json:
        show.as_json({"keys": _given(), "rewrapped": changed})
        return
    say(f"{len(changed)} tenants' keys are under key {_given()[0]} now; `spine keys drop` forgets the older ones")


@app.command("drop")
def drop(json: Json = False) -> None:
    """Forget the older keys of the key file, once no key and no head needs them. Older backups of the database still do: keep a copy.

    spine keys drop
    """
    count = _keeper().drop()
    from spine.control import keys

    if json:
        show.as_json({"keys": _given(), "older": count, "by_hand": keys.from_environment()})
    elif keys.from_environment() and count:
        say(f"Nothing needs the last {count} of SPINE_FERNET_KEY any more: leave the first alone there, and restart all services")
    else:
        say(f"{count} older keys forgotten; {_given()[0]} is left")


@app.command("renew")
def renew(
    yes: Annotated[bool, typer.Option("--yes", help="Do it, instead of saying what would be lost.")] = False, json: Json = False
) -> None:
    """Begin anew where keys are lost: new keys for those tenants, and their stored tokens are removed, as nothing opens them.

    Everything else stays: data, cursors, Connections. Where a source hands out single-use grants, put a fresh one into the Connection.

      spine keys renew
      spine keys renew --yes
    """
    keeper = _keeper()
    found = keeper.renew() if yes else [one for one in keeper.status() if one.state == "lost" or one.lost_tokens]
    if json:
        show.as_json({"done": yes, "lost": [vars(one) for one in found]})
        return
    for one in found:
        say(f"{one.tenant}: {'key lost, ' if one.state == 'lost' else ''}tokens lost: {', '.join(one.lost_tokens) or 'none'}")
    if not found:
        say("Nothing is lost: every key and every token opens")
    elif yes:
        say("New keys are made. `spine connector test SOURCE` says whether a connection needs a fresh grant")
    else:
        say("Nothing was changed. If the former key may still be found, wait; otherwise say --yes")


def _keeper() -> Keeper:
    """With the administrator of SPINE_ADMIN_URL, or of the embedded server. Raises ConfigError where there is neither."""
    url = settings().admin_url
    if not url and settings().postgres:
        raise ConfigError(
            "Keys are changed by an administrator only",
            hint="Set SPINE_ADMIN_URL; under Compose: docker compose run --rm airflow-init spine keys status",
        )
    from spine.control import embedded
    from spine.control.bootstrap import ensure
    from spine.control.rotation import Keeper

    with show.working("Open the control plane and Airflow's store"):
        url = url or embedded.start(settings().home).uri_admin
        return Keeper(url, getpass.getuser(), world.variables(ensure(url)))


def _given() -> list[str]:
    from spine.control import keys

    return [keys.name_of(key) for key in keys.deployment_keys()]


def _tell(state: str, tenants: list[str], then: str) -> None:
    if tenants:
        say(f"{len(tenants)} {state}: {', '.join(tenants)}; {then}")
