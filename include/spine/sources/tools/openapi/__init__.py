"""Converts a description in OpenAPI 3 to a source's file: what lists records becomes a stream, and what is guessed is marked."""

from spine.sources.tools.openapi.converting import convert_openapi

__all__ = ["convert_openapi"]
