"""Reads answers: one file per format, with its words and its behaviour. A new format is a new file.

What is compressed, by gzip or in a zip, is told by its first bytes and unpacked within the bounds of files.
"""

from spine.core.variants import Variants
from spine.sources.decoders.decoding import Decoder

DECODER_KINDS = Variants(Decoder, __name__, default="json")

__all__ = ["DECODER_KINDS", "Decoder"]
