"""Reads any REST source that its YAML file describes, a concern a module.

`requester` makes a request from a stream's words, the stream's paging turns pages, `decoding` reads an answer, `selecting` finds its
records. `parts` and `spans` are what a stream is read in; `reader` walks through them, and `place` is how far it is.
"""

from spine.sources.rest.checking import mistakes, source_mistakes
from spine.sources.rest.reader import DETECTS, READS, Reader
from spine.sources.rest.selecting import records_of, said_empty

__all__ = ["DETECTS", "READS", "Reader", "mistakes", "records_of", "said_empty", "source_mistakes"]
