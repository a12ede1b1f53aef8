"""Decides whether a table may be read by the next layer, and says why not."""
