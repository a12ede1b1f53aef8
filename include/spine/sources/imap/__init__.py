"""Reads the messages of mailboxes over IMAP (RFC 3501), in the order of their UIDs, so that a reading goes on behind its last message.

`line` is the connection with its bounds, `server` what is asked of it, `messages` what a message says, `folders` what is known of each
folder, `reader` the way through all of them. Nothing is marked as read: folders are only examined.
"""

from spine.sources.imap.reader import DETECTS, READS, Reader, mistakes, source_mistakes

__all__ = ["DETECTS", "READS", "Reader", "mistakes", "source_mistakes"]
