"""Standardise, block, compare, learn, score, cluster, survive; each step is a named table you can open."""
