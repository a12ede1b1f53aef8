"""Renders templates; every value is escaped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

_TEMPLATES = Environment(loader=FileSystemLoader(Path(__file__).with_name("templates")), autoescape=True, undefined=StrictUndefined)


def page(template: str, **values: Any) -> HTMLResponse:
    """A whole page that loads nothing from elsewhere."""
    policy = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'self'"}
    return HTMLResponse(_TEMPLATES.get_template(template).render(**values), headers=policy)
