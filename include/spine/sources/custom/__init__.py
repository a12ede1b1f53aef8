"""Behaviour of odd sources, one module each, named like the source."""
