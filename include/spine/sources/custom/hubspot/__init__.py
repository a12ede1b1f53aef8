"""HubSpot's CRM: objects of each kind, custom ones by their schema, owners, and what objects are associated with.

`reader` walks through lists and searches, `place` says how far it is, `records` makes records of what they hold, `associations` reads what
objects belong to, `faults` says what HubSpot's errors mean.
"""

from spine.sources.custom.hubspot.place import Place
from spine.sources.custom.hubspot.reader import DETECTS, READS, Reader, mistakes

__all__ = ["DETECTS", "READS", "Place", "Reader", "mistakes"]
