"""Reads what a Singer tap writes (https://hub.meltano.com/singer/spec): a program of somebody else's, run for each stream.

`environments` installs it, `running` runs it and reads its lines, `reader` makes pages of its messages. A page's token is the last STATE
before which all records are in pages, so that a reading goes on from a state whose records are committed.
"""

from spine.sources.singer.reader import DETECTS, READS, Reader, mistakes, source_mistakes

__all__ = ["DETECTS", "READS", "Reader", "mistakes", "source_mistakes"]
