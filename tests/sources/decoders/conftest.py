"""The readings of tests of REST streams."""

from tests.sources.rest.conftest import make_vendor, reading

__all__ = ["make_vendor", "reading"]
