"""Converts a low-code manifest, the declarative YAML of Airbyte's connectors, to a source's file. Nothing of it is run."""

from spine.sources.tools.manifests.converting import convert_manifest

__all__ = ["convert_manifest"]
