"""Small HTTP servers that behave like vendors, for the demo and the tests. See `spine.sandbox.server`."""
