"""`python -m spine.sandbox`: the sandbox as a process of its own, until it is told to end."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spine.core import clock
from spine.sandbox.server import HOST, serve
from spine.sandbox.state import Sandbox
from spine.sandbox.truth import write_truth


def main(
    port: Annotated[int, typer.Option(help="port on 127.0.0.1")] = 8765,
    scale: Annotated[int, typer.Option(help="real persons in each tenant's world")] = 1000,
    tenants: Annotated[str, typer.Option(help="comma-separated; `name:scale` sets one tenant's own scale")] = "default,acme",
    seed: Annotated[int, typer.Option(help="another seed is another world")] = 7,
    drop: Annotated[Path | None, typer.Option(help="folder of the HR file drop")] = None,
    truth: Annotated[Path | None, typer.Option(help="write the known truth to this CSV")] = None,
    state: Annotated[Path | None, typer.Option(help="journal, so that a restart goes on where this run ended")] = None,
    now: Annotated[str, typer.Option(help="end of the 30 days of data, ISO 8601; the present hour unless given")] = "",
    token_lifetime: Annotated[float, typer.Option(help="seconds a Salesforce access token lives")] = 7200.0,
) -> None:
    """Serve Salesforce, HubSpot and an HR file drop that behave like the real ones, on 127.0.0.1."""
    scales = {name: int(own or scale) for name, _, own in (entry.partition(":") for entry in tenants.split(","))}
    moment = clock.parse(now) if now else None
    sandbox = Sandbox(scales, seed=seed, now=moment, drop=drop, token_lifetime=token_lifetime, journal=state)
    if truth:
        write_truth(sandbox.worlds.values(), truth)
    typer.echo(f"sandbox on http://{HOST}:{port} for {', '.join(f'{name} ({size})' for name, size in scales.items())}")
    serve(sandbox, port).run()


typer.run(main)
