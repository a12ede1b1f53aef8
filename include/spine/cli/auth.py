"""`spine auth`: a person agrees once that a source may be read."""

from __future__ import annotations

import getpass
import time
import webbrowser
from typing import TYPE_CHECKING, Annotated
from urllib.parse import parse_qsl, urlsplit

import typer

from spine.cli import show, world
from spine.cli.options import DEFAULT_TENANT, Json, Source, Tenant
from spine.core.screen import say

if TYPE_CHECKING:
    from spine.core.tokens import Token
    from spine.pipeline.authorizing import Asking

_PATIENCE = 300.0  # seconds for which the browser is waited for


def auth(
    source: Source,
    tenant: Tenant = DEFAULT_TENANT,
    browser: Annotated[bool, typer.Option(help="Open the address in a browser of this machine.")] = True,
    paste: Annotated[
        bool, typer.Option("--paste", help="Ask for the address that the browser ends at, instead of waiting for it.")
    ] = False,
    device: Annotated[bool, typer.Option("--device", help="Show a code that is typed in on another device.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds for which the browser is waited for.", min=1, max=3600)] = _PATIENCE,
    json: Json = False,
) -> None:
    """Ask a person for access to a source, by OAuth 2, and keep the grant: in the Connection, and encrypted for the workers.

    The Connection has to hold the client: its id in the login, its secret in the password. The address to register with the vendor is
    `redirect_uri` in the source's file, or any port of 127.0.0.1 with /callback.

      spine auth hubspot --tenant acme
      spine auth github --device
      spine auth zendesk --no-browser --paste
    """
    services = world.services()
    from spine.pipeline.authorizing import Asking
    from spine.sources.spec import load_source

    asking = Asking.of(load_source(source), tenant, services, getpass.getuser())
    by_code = device or asking.auth.grant == "device_code"
    token = _by_device(asking) if by_code else _by_browser(asking, browser=browser, paste=paste, timeout=timeout)
    kept = asking.keep(token)
    if json:
        show.as_json(vars(kept))
        return
    where = "in the Connection, and encrypted for the workers" if kept.in_connection else "encrypted for the workers"
    say(f"{kept.connection_id} may be read: the grant is {where}")
    if not kept.in_connection:
        say(
            "The Connection is not in Airflow's own database, so put the grant there yourself if it is to outlive this control plane",
            err=True,
        )
    if kept.resumed:
        say("It was paused for its credentials and runs again", err=True)
    if kept.expires:
        say(f"The grant ends {kept.expires} unless it is refreshed before", err=True)


def _by_browser(asking: Asking, *, browser: bool, paste: bool, timeout: float) -> Token:
    from spine.http.loopback import Loopback, is_here

    registered = asking.auth.redirect_uri
    if paste or (registered and not is_here(registered)):
        consent = asking.consent(registered or "http://127.0.0.1/callback")
        _show(consent.url(), browser)
        came = typer.prompt("The address that the browser ends at", err=True)
        return consent.redeem(dict(parse_qsl(urlsplit(came.strip()).query)))
    with Loopback(registered) as here:
        consent = asking.consent(here.uri)
        here.expect(consent.answers)
        _show(consent.url(), browser)
        return consent.redeem(here.wait(timeout))


def _by_device(asking: Asking) -> Token:
    asked = asking.device()
    say(f"Open {asked.address} and type in {asked.user_code}", err=True)
    return asking.wait(asked, time.sleep)


def _show(url: str, browser: bool) -> None:
    """The address goes to stderr: stdout is the answer's."""
    say(f"Open this address and agree:\n{url}", err=True)
    if browser:
        webbrowser.open(url)
