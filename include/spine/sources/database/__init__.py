"""Reads tables of a database, in the order of their key or of their cursor, so that a reading goes on behind its last row.

`reader` walks through a table and makes records; `asking` says in SQL what it wants. A file for each kind of server has what differs
there: how it is logged in to, what its columns are, how its rows come.
"""

from spine.sources.database.reader import DETECTS, READS, Reader, mistakes, source_mistakes

__all__ = ["DETECTS", "READS", "Reader", "mistakes", "source_mistakes"]
