"""Scored pairs to entities, all at once or only what a change touches."""
