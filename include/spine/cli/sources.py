"""Commands on sources as files: make one, look at what its vendor answers, tell what all of them can do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from spine.cli import show
from spine.cli.options import Json
from spine.core.screen import say

app = typer.Typer(no_args_is_help=True, help="Sources as files: make one, see what its vendor answers, tell what each can do.")
NewName = Annotated[str, typer.Argument(help="Its name: small letters, digits, single underscores.", metavar="NAME", show_default=False)]


@app.command("new")
def new(
    name: NewName,
    openapi: Annotated[Path | None, typer.Option(help="A description in OpenAPI 3.0 or 3.1, YAML or JSON.", metavar="FILE")] = None,
    manifest: Annotated[Path | None, typer.Option(help="A low-code manifest, as Airbyte's builder exports it.", metavar="FILE")] = None,
    like: Annotated[str | None, typer.Option("--from", help="A source of ours to begin with.", metavar="SOURCE")] = None,
    domain: Annotated[str | None, typer.Option(help="Who asks for it: revops, finops, …")] = None,
    stream: Annotated[
        list[str] | None, typer.Option("--stream", "-s", help="Only this stream, and its parents; may be given again.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    json: Json = False,
) -> None:
    """Write a source's file and its test: from a description, from another source, or as a beginning. Asks nobody, runs nothing of it.

    What is guessed is marked in the file by `# ?`; what did not convert is listed, by line.

      spine sources new acme --openapi acme.json --stream customers --stream orders
      spine sources new shop --manifest manifest.yaml
      spine sources new hubspot_eu --from hubspot
    """
    from spine.sources.tools.making import make_source

    with show.working(f"Make {name}"):
        made = make_source(name, openapi=openapi, manifest=manifest, like=like, domain=domain, only=stream or (), force=force)
    lost = [remark for remark in made.remarks if remark.lost]
    if json:
        remarks = [vars(remark) for remark in made.remarks]
        facts = {"path": str(made.path), "test": str(made.test) if made.test else None, "streams": made.streams, "found": made.found}
        show.as_json({**facts, "guesses": made.doubts, "not_converted": remarks})
        return
    say(f"{made.path} reads {len(made.streams)} streams" + (f" of {made.found}" if made.found else ""))
    if made.test:
        say(f"{made.test} tests it")
    if made.doubts:
        say(f"{made.doubts} guesses are marked by `# ?`: look at each")
    _not_converted(f"Not converted: {len({remark.stream for remark in lost})} streams", lost)
    _not_converted("Converted without this", [remark for remark in made.remarks if not remark.lost])
    say(
        f"Next: `spine connector fields {name}` says what its Connection has to hold, `spine sources read {name}` shows a page of it",
        err=True,
    )


def _not_converted(title: str, remarks: list[Any]) -> None:
    if remarks:
        rows = [{"line": str(remark.line or ""), "stream": remark.stream, "why": remark.what} for remark in remarks]
        show.as_table(title, rows, ("line", "stream", "why"))
