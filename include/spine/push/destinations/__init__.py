"""A module for each kind of system that is written to."""
